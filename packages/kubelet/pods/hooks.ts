/** Lifecycle hooks: exec, httpGet, sleep, and the old tcpSocket. Rejects with what went wrong; stops waiting when the signal is aborted. */
import { quoteGo } from '@coffer/api/errors/field-error';
import type { V1LifecycleHandler } from '@coffer/api/generated/types';
import type { Clock } from '@coffer/base/time/clock';
import type { ContainerRuntime } from '@coffer/cri/runtime/container-runtime';
import { httpCall, httpGet } from '../probes/http-request.ts';
import { type Container, formatPod, type Pod } from '../types.ts';
import { messageOf } from '../volumes/payloads.ts';

const httpTimeoutMs = 60_000;
const agent = 'kube-lifecycle/1.36';

export interface HookTarget {
  readonly pod: Pod;
  readonly container: Container;
  readonly containerId: string;
  readonly host: string;
}

export async function runHook(
  deps: { readonly runtime: ContainerRuntime; readonly clock: Clock },
  handler: V1LifecycleHandler,
  target: HookTarget,
  signal: AbortSignal,
): Promise<void> {
  if (handler.exec !== undefined) {
    const command = handler.exec.command ?? [];
    const result = await aborted(deps.runtime.execSync(target.containerId, command, 0), signal);
    if (result.exitCode === 0) return;
    const stderr = Buffer.from(result.stderr).toString('utf8');
    const output = Buffer.concat([result.stdout, result.stderr]).toString('utf8');
    const detail = `command '${command.join(' ')}' exited with ${result.exitCode}: ${stderr}`;
    throw new Error(`Exec lifecycle hook ([${command.join(' ')}]) ${where(target)} failed - error: ${detail}, message: ${quoteGo(output)}`);
  } else if (handler.httpGet !== undefined) {
    const call = httpCall(handler.httpGet, target.container, target.host, httpTimeoutMs, agent);
    const fail = (detail: string, body: string, cause?: unknown): never => {
      const path = handler.httpGet?.path ?? '';
      throw new Error(`HTTP lifecycle hook (${path}) ${where(target)} failed - error: ${detail}, message: ${quoteGo(body)}`, { cause });
    };
    const answer = await aborted(httpGet(call), signal).catch((error: unknown) => fail(messageOf(error), '', error));
    if (answer.status < 200 || answer.status >= 400) fail(`HTTP probe failed with statuscode: ${answer.status}`, answer.body);
  } else if (handler.sleep !== undefined) {
    await deps.clock.sleep(handler.sleep.seconds * 1000, signal);
  } else {
    throw new Error('invalid handler: no handler type is specified');
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
