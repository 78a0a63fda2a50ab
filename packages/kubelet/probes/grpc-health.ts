/** The grpc.health.v1 Check call, with the two messages it needs written out by hand. The gRPC library is loaded on first use. */
import type { ProbeResult } from './probers.ts';

const servingStatus = 1;
const statusNames = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];

export async function grpcHealth(host: string, port: number, service: string, timeoutMs: number): Promise<ProbeResult> {
  const grpc = await import('@grpc/grpc-js');
  const address = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  try {
    return await new Promise<ProbeResult>((resolve) => {
      client.makeUnaryRequest(
        '/grpc.health.v1.Health/Check',
        (name: string) => encodeRequest(name),
        decodeStatus,
        service,
        new grpc.Metadata(),
        { deadline: Date.now() + timeoutMs },
        (error, status) => {
          if (error === null) {
            if (status === servingStatus) resolve({ kind: 'success', output: 'service healthy' });
            else
              resolve({
                kind: 'failure',
                output: `service unhealthy (responded with ${JSON.stringify(statusNames[status ?? 0] ?? String(status))})`,
              });
          } else if (error.code === grpc.status.UNIMPLEMENTED) {
            resolve({
              kind: 'failure',
              output: `error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ${error.details}`,
            });
          } else if (error.code === grpc.status.DEADLINE_EXCEEDED) {
            resolve({ kind: 'failure', output: `timeout: health rpc did not complete within ${timeoutMs / 1000}s` });
          } else if (error.code === grpc.status.UNAVAILABLE) {
            resolve({ kind: 'failure', output: `error: connecting to grpc server ${JSON.stringify(address)}: ${error.details}` });
          } else resolve({ kind: 'failure', output: `error: health rpc probe failed: ${error.message}` });
        },
      );
    });
  } finally {
    client.close();
  }
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
