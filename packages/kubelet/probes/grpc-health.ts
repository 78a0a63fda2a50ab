/** The grpc.health.v1 Check call, with the two messages it needs written out by hand. The gRPC library is loaded on first use. */

import { goDuration } from '../pods/time-format.ts';
import { openRelay } from './connection-relay.ts';
import type { PodReach } from './pod-reach.ts';
import type { ProbeResult } from './probers.ts';

const servingStatus = 1;
const userAgent = 'kube-probe/1.36';
const statusNames = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];

/** Waits for a connection, then asks, all within the timeout. Everything but a healthy answer is a failure. */
export async function grpcHealth(reach: PodReach, port: number, service: string, timeoutMs: number): Promise<ProbeResult> {
  const { host, dial } = reach;
  const address = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  if (dial === undefined) return check(address, address, service, timeoutMs);
  const relay = await openRelay((signal) => dial(host, port, signal));
  try {
    return await check(`unix:${relay.path}`, address, service, timeoutMs);
  } finally {
    await relay.close();
  }
}

/** `target` is where to connect, `address` what the service is called. */
async function check(target: string, address: string, service: string, timeoutMs: number): Promise<ProbeResult> {
  const grpc = await import('@grpc/grpc-js');
  const options = { 'grpc.primary_user_agent': userAgent, 'grpc.default_authority': address };
  const client = new grpc.Client(target, grpc.credentials.createInsecure(), options);
  const deadline = Date.now() + timeoutMs;
  const within = goDuration(timeoutMs);
  try {
    const connected = await new Promise<boolean>((resolve) => client.waitForReady(deadline, (error) => resolve(error === undefined)));
    if (!connected) {
      const output = `timeout: failed to connect service ${JSON.stringify(address)} within ${within}: context deadline exceeded`;
      return { kind: 'failure', output };
    }
    return await new Promise<ProbeResult>((resolve) => {
      const fail = (output: string) => resolve({ kind: 'failure', output });
      client.makeUnaryRequest(
        '/grpc.health.v1.Health/Check',
        (name: string) => encodeRequest(name),
        decodeStatus,
        service,
        new grpc.Metadata(),
        { deadline },
        (error, status) => {
          if (error === null) {
            if (status === servingStatus) resolve({ kind: 'success', output: 'service healthy' });
            else fail(`service unhealthy (responded with ${JSON.stringify(statusNames[status ?? 0] ?? String(status))})`);
            return;
          }
          switch (error.code) {
            case grpc.status.UNIMPLEMENTED:
              return fail(`error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ${error.details}`);
            case grpc.status.DEADLINE_EXCEEDED:
              return fail(`timeout: health rpc did not complete within ${within}`);
            default:
              return fail(`error: health rpc probe failed: rpc error: code = ${codeName(grpc.status[error.code])} desc = ${error.details}`);
          }
        },
      );
    });
  } finally {
    client.close();
  }
}

/** `NOT_FOUND` as Go writes it: `NotFound`. */
function codeName(constant: string): string {
  return constant.toLowerCase().replace(/(^|_)([a-z])/g, (_, _separator, letter: string) => letter.toUpperCase());
}

/** HealthCheckRequest: field 1 is the service name. */
export function encodeRequest(service: string): Buffer {
  const name = Buffer.from(service, 'utf8');
  if (name.length === 0) return Buffer.alloc(0);
  const length: number[] = [];
  for (let rest = name.length; ; rest >>>= 7) {
    length.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
    if (rest <= 0x7f) break;
  }
  return Buffer.concat([Buffer.from([0x0a, ...length]), name]);
}

/** HealthCheckResponse: field 1 is the status, a varint; absent means 0. */
export function decodeStatus(bytes: Buffer): number {
  return bytes.length >= 2 && bytes[0] === 0x08 ? (bytes[1] ?? 0) : 0;
}
