import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { FakeClock } from '@coffer/base/time/fake-clock';
import * as grpc from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeRuntime } from '../testing/fake-runtime.ts';
import { decodeStatus, encodeRequest } from './grpc-health.ts';
import { runProbe } from './probers.ts';

let server: Server;
let port = 0;
const seen: (string | undefined)[] = [];

beforeEach(async () => {
  seen.length = 0;
  server = createServer((request, response) => {
    seen.push(request.url, request.headers['user-agent'], request.headers['x-a']?.toString());
    if (request.url === '/slow') return;
    if (request.url === '/moved') response.writeHead(302, { location: '/fine' });
    else if (request.url === '/away') response.writeHead(302, { location: 'http://elsewhere.invalid/' });
    else response.writeHead(request.url === '/fine' ? 200 : 503);
    response.end('body');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const runtime = new FakeRuntime(new FakeClock());

function run(probe: Parameters<typeof runProbe>[1]) {
  const container = { name: 'c', ports: [{ name: 'web', containerPort: port }] };
  return runProbe(runtime, probe, { container, containerId: 'id', reach: { host: '127.0.0.1' } });
}

describe('runProbe httpGet', () => {
  it('succeeds for 2xx and 3xx, by port name, with the headers asked for', async () => {
    expect(await run({ httpGet: { path: '/fine', port: 'web', httpHeaders: [{ name: 'X-A', value: 'b' }] } })).toEqual({
      kind: 'success',
      output: 'body',
    });
    expect(seen).toEqual(['/fine', 'kube-probe/1.36', 'b']);
    expect((await run({ httpGet: { path: '/moved', port } })).kind).toBe('success');
    expect(await run({ httpGet: { path: '/away', port } })).toEqual({
      kind: 'warning',
      output: 'Probe terminated redirects, Response body: body',
    });
  });

  it('says what failed', async () => {
    expect(await run({ httpGet: { path: '/bad', port } })).toEqual({ kind: 'failure', output: 'HTTP probe failed with statuscode: 503' });
    expect(await run({ httpGet: { path: '/x', port: 1 } })).toEqual({
      kind: 'failure',
      output: 'Get "http://127.0.0.1:1/x": dial tcp 127.0.0.1:1: connect: connection refused',
    });
    expect(await run({ httpGet: { path: '/', port: 'nope' } })).toEqual({
      kind: 'unknown',
      error: 'couldn\'t find port: "nope" in container c',
    });
  });

  it('gives up after the timeout', async () => {
    const result = await run({ httpGet: { path: '/slow', port }, timeoutSeconds: 0.05 });
    expect(result).toEqual({
      kind: 'failure',
      output: `Get "http://127.0.0.1:${port}/slow": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`,
    });
  });
});

describe('runProbe tcpSocket', () => {
  it('tells an open port from a closed one', async () => {
    expect((await run({ tcpSocket: { port: 'web' } })).kind).toBe('success');
    expect(await run({ tcpSocket: { port: 1 } })).toEqual({ kind: 'failure', output: 'dial tcp 127.0.0.1:1: connect: connection refused' });
  });
});

describe('runProbe grpc', () => {
  it('waits for a connection as long as it may', async () => {
    expect(await run({ grpc: { port: 1 }, timeoutSeconds: 0.1 })).toEqual({
      kind: 'failure',
      output: 'timeout: failed to connect service "127.0.0.1:1" within 100ms: context deadline exceeded',
    });
  });

  it('reads the health status of a service', async () => {
    const health = new grpc.Server();
    const method = {
      path: '/grpc.health.v1.Health/Check',
      requestStream: false,
      responseStream: false,
      requestSerialize: (request: { service: string }) => encodeRequest(request.service),
      requestDeserialize: (bytes: Buffer) => ({ service: bytes.subarray(2).toString('utf8') }),
      responseSerialize: (status: number) => Buffer.from([0x08, status]),
      responseDeserialize: decodeStatus,
    } as const;
    const check: grpc.handleUnaryCall<{ service: string }, number> = (call, callback) =>
      call.request.service === 'nobody'
        ? callback({ code: grpc.status.NOT_FOUND, details: 'unknown service' })
        : callback(null, call.request.service === 'down' ? 2 : 1);
    health.addService({ check: method }, { check });
    const bound = await new Promise<number>((resolve, reject) =>
      health.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, at) =>
        error === null ? resolve(at) : reject(error),
      ),
    );
    try {
      expect(await run({ grpc: { port: bound, service: '' }, timeoutSeconds: 5 })).toEqual({ kind: 'success', output: 'service healthy' });
      expect(await run({ grpc: { port: bound, service: 'down' }, timeoutSeconds: 5 })).toEqual({
        kind: 'failure',
        output: 'service unhealthy (responded with "NOT_SERVING")',
      });
      expect(await run({ grpc: { port: bound, service: 'nobody' }, timeoutSeconds: 5 })).toEqual({
        kind: 'failure',
        output: 'error: health rpc probe failed: rpc error: code = NotFound desc = unknown service',
      });
    } finally {
      health.forceShutdown();
    }
  });
});
