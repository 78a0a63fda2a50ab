/** Runs one probe once: exec, httpGet, tcpSocket or grpc. The result says success, failure with upstream's text, or that nothing is known. */
import type { V1Probe } from '@coffer/api/generated/types';
import type { ContainerRuntime } from '@coffer/cri/runtime/container-runtime';
import type { Container } from '../types.ts';
import { messageOf } from '../volumes/payloads.ts';
import { grpcHealth } from './grpc-health.ts';
import { dialError, type HttpCall, httpCall, httpGet, resolvePort } from './http-request.ts';
import { connectTo, type PodReach } from './pod-reach.ts';

export type ProbeResult =
  | { readonly kind: 'success'; readonly output: string }
  /** A success that somebody should look at. */
  | { readonly kind: 'warning'; readonly output: string }
  | { readonly kind: 'failure'; readonly output: string }
  /** The probe could not be run; upstream counts it as a failure. */
  | { readonly kind: 'unknown'; readonly error: string };

export interface ProbeTarget {
  readonly container: Container;
  readonly containerId: string;
  readonly reach: PodReach;
}

const maxExecOutputBytes = 10 * 1024;
const userAgent = 'kube-probe/1.36';

export async function runProbe(runtime: ContainerRuntime, probe: V1Probe, target: ProbeTarget): Promise<ProbeResult> {
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
  try {
    if (probe.exec !== undefined) return await probeExec(runtime, probe.exec.command ?? [], target, timeoutMs);
    if (probe.httpGet !== undefined) {
      const call = httpCall(probe.httpGet, target.container, target.reach.host, timeoutMs, userAgent);
      return await probeHttp(call, target.reach);
    }
    if (probe.tcpSocket !== undefined) {
      const host = probe.tcpSocket.host !== undefined && probe.tcpSocket.host !== '' ? probe.tcpSocket.host : target.reach.host;
      return await probeTcp(target.reach, host, resolvePort(probe.tcpSocket.port, target.container), timeoutMs);
    }
    if (probe.grpc !== undefined) return await grpcHealth(target.reach, probe.grpc.port, probe.grpc.service ?? '', timeoutMs);
  } catch (error) {
    return { kind: 'unknown', error: messageOf(error) };
  }
  return { kind: 'unknown', error: `missing probe handler for ${target.container.name}` };
}

async function probeExec(
  runtime: ContainerRuntime,
  command: readonly string[],
  target: ProbeTarget,
  timeoutMs: number,
): Promise<ProbeResult> {
  const result = await runtime.execSync(target.containerId, command, timeoutMs);
  if (result.timedOut) {
    const text = `command timed out: ${JSON.stringify(command.join(' '))} timed out after ${timeoutMs / 1000}s`;
    return { kind: 'failure', output: text };
  }
  const output = Buffer.concat([result.stdout, result.stderr]).subarray(0, maxExecOutputBytes).toString('utf8');
  return { kind: result.exitCode === 0 ? 'success' : 'failure', output };
}

async function probeHttp(call: HttpCall, reach: PodReach): Promise<ProbeResult> {
  try {
    const answer = await httpGet(call, reach);
    if (answer.status >= 200 && answer.status < 300) return { kind: 'success', output: answer.body };
    if (answer.status >= 300 && answer.status < 400) {
      return { kind: 'warning', output: `Probe terminated redirects, Response body: ${answer.body}` };
    }
    return { kind: 'failure', output: `HTTP probe failed with statuscode: ${answer.status}` };
  } catch (error) {
    return { kind: 'failure', output: messageOf(error) };
  }
}

async function probeTcp(reach: PodReach, host: string, port: number, timeoutMs: number): Promise<ProbeResult> {
  const address = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const deadline = AbortSignal.timeout(timeoutMs);
  try {
    const socket = await connectTo(reach, host, port, deadline);
    socket.on('error', () => {}).destroy();
    return { kind: 'success', output: '' };
  } catch (error) {
    return { kind: 'failure', output: deadline.aborted ? `dial tcp ${address}: i/o timeout` : dialError(error, address) };
  }
}
