/** Lifecycle hooks: exec, httpGet, sleep, and the old tcpSocket. Rejects with what went wrong; stops waiting when the signal is aborted. */
import { quoteGo } from '@coffer/api/errors/field-error';
import type { V1HTTPGetAction, V1LifecycleHandler } from '@coffer/api/generated/types';
import type { Clock } from '@coffer/base/time/clock';
import type { ContainerRuntime } from '@coffer/cri/runtime/container-runtime';
import { httpCall, httpGet, isAnswerInHttp } from '../probes/http-request.ts';
import type { PodReach } from '../probes/pod-reach.ts';
import { type Container, formatPod, type Pod } from '../types.ts';
import { messageOf } from '../volumes/payloads.ts';

const httpTimeoutMs = 60_000;
const agent = 'kube-lifecycle/1.36';

export interface HookTarget {
  readonly pod: Pod;
  readonly container: Container;
  readonly containerId: string;
  readonly reach: PodReach;
}

export interface HookDeps {
  readonly runtime: ContainerRuntime;
  readonly clock: Clock;
  /** Records an event of type Warning about the pod. */
  readonly warn: (reason: string, message: string) => void;
}

export async function runHook(deps: HookDeps, handler: V1LifecycleHandler, target: HookTarget, signal: AbortSignal): Promise<void> {
  if (handler.exec !== undefined) {
    const command = handler.exec.command ?? [];
    const result = await aborted(deps.runtime.execSync(target.containerId, command, 0), signal);
    if (result.exitCode === 0) return;
    const stderr = Buffer.from(result.stderr).toString('utf8');
    const output = Buffer.concat([result.stdout, result.stderr]).toString('utf8');
    const detail = `command '${command.join(' ')}' exited with ${result.exitCode}: ${stderr}`;
    throw new Error(`Exec lifecycle hook ([${command.join(' ')}]) ${where(target)} failed - error: ${detail}, message: ${quoteGo(output)}`);
  } else if (handler.httpGet !== undefined) {
    await aborted(callHttp(deps, handler.httpGet, target), signal).catch((error: unknown) => {
      const path = handler.httpGet?.path ?? '';
      throw new Error(`HTTP lifecycle hook (${path}) ${where(target)} failed - error: ${messageOf(error)}`, { cause: error });
    });
  } else if (handler.sleep !== undefined) {
    await deps.clock.sleep(handler.sleep.seconds * 1000, signal);
  } else {
    throw new Error('invalid handler: no handler type is specified');
  }
}

/** Any answer will do. A hook that asks for HTTPS where only HTTP is spoken is asked again in HTTP, with a warning. */
async function callHttp(deps: HookDeps, action: V1HTTPGetAction, target: HookTarget): Promise<void> {
  const call = httpCall(action, target.container, target.reach.host, httpTimeoutMs, agent);
  try {
    await httpGet(call, target.reach);
  } catch (error) {
    if (!isAnswerInHttp(error)) throw error;
    const { authorization: _authorization, ...headers } = call.headers;
    const url = call.url.replace(/^https:/, 'http:');
    await httpGet({ ...call, url, headers }, target.reach).catch(() => {
      throw error;
    });
    const host = new URL(call.url).host;
    deps.warn('LifecycleHTTPFallback', `request to HTTPS lifecycle hook ${host} got HTTP response, retry with HTTP succeeded`);
  }
}

function where(target: HookTarget): string {
  return `for Container ${quoteGo(target.container.name)} in Pod ${quoteGo(formatPod(target.pod))}`;
}

function aborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) {
      work.catch(() => {});
      onAbort();
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
