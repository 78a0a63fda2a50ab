import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Http2SecureServer } from 'node:http2';
import { createSecureServer } from 'node:http2';
import type { Server } from 'node:https';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { BasicConstraintsExtension, PemConverter, SubjectAlternativeNameExtension, X509CertificateGenerator } from '@peculiar/x509';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inClusterConnection, resolveConnection } from '../kubeconfig/connection.ts';
import { parseKubeconfig } from '../kubeconfig/kubeconfig.ts';
import { httpsTransport } from './https.ts';
import type { Transport } from './transport.ts';

let certificate: string;
let key: string;
const clock = new FakeClock();

beforeAll(async () => {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as never;
  const made = await X509CertificateGenerator.createSelfSigned(
    {
      name: 'CN=test',
      keys,
      signingAlgorithm: algorithm,
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + 3_600_000),
      extensions: [new BasicConstraintsExtension(true), new SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }])],
    },
    webcrypto as never,
  );
  certificate = made.toString('pem');
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', (keys as { privateKey: webcrypto.CryptoKey }).privateKey);
  key = PemConverter.encode(pkcs8, 'PRIVATE KEY');
});

function kubeconfigFor(port: number, user: string): Transport {
  const text = `
apiVersion: v1
kind: Config
current-context: here
clusters:
- name: c
  cluster: {server: "https://127.0.0.1:${port}/prefix", certificate-authority-data: ${Buffer.from(certificate).toString('base64')}}
contexts:
- name: here
  context: {cluster: c, user: u, namespace: ns}
users:
- name: u
  user: ${user}
`;
  return httpsTransport({ connection: resolveConnection(parseKubeconfig(text, '/'), clock), clock, userAgent: 'test/1' });
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();

describe.each(['h2', 'http/1.1'])('httpsTransport over %s', (protocol) => {
  let server: Http2SecureServer | Server;
  let port: number;
  const open: { end(): void }[] = [];

  beforeAll(async () => {
    const tls = { key, cert: certificate, ca: certificate, requestCert: true, rejectUnauthorized: false };
    // biome-ignore lint/suspicious/noExplicitAny: the handlers of the two servers differ in types only
    const handle = (request: any, response: any) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        response.setHeader('content-type', 'application/json');
        if (request.url.endsWith('/watch')) {
          response.write('one\n');
          open.push(response);
          return;
        }
        const peer = request.socket.getPeerCertificate?.()?.subject?.CN;
        response.statusCode = 201;
        response.end(
          JSON.stringify({
            version: request.httpVersion,
            method: request.method,
            url: request.url,
            authorization: request.headers.authorization,
            agent: request.headers['user-agent'],
            groups: request.headers['impersonate-group'],
            peer,
            body: Buffer.concat(chunks).toString(),
          }),
        );
      });
    };
    server = protocol === 'h2' ? createSecureServer({ ...tls, settings: { maxConcurrentStreams: 3 } }, handle) : createServer(tls, handle);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });

  afterAll(() => {
    server.close();
  });

  it('sends requests with credentials and reads whole answers', async () => {
    const transport = kubeconfigFor(port, '{token: secret, as: jane, as-groups: [a, b]}');
    const answer = await transport.request({ method: 'POST', path: '/api?x=1', body: 'hello' });
    expect(answer.status).toBe(201);
    expect(answer.headers['content-type']).toBe('application/json');
    expect(JSON.parse(text(answer.body))).toMatchObject({
      version: protocol === 'h2' ? '2.0' : '1.1',
      method: 'POST',
      url: '/prefix/api?x=1',
      authorization: 'Bearer secret',
      agent: 'test/1',
      groups: 'a, b',
      body: 'hello',
    });
    transport.close();
  });

  it('shows its client certificate', async () => {
    const encode = (pem: string) => Buffer.from(pem).toString('base64');
    const transport = kubeconfigFor(port, `{client-certificate-data: ${encode(certificate)}, client-key-data: ${encode(key)}}`);
    const answer = await transport.request({ method: 'GET', path: '/' });
    if (protocol === 'http/1.1') expect(JSON.parse(text(answer.body))).toMatchObject({ peer: 'test' });
    transport.close();
  });

  it('streams answers as they come, many at a time, and ends them when aborted', async () => {
    const transport = kubeconfigFor(port, '{}');
    const stop = new AbortController();
    const streams = await Promise.all(
      Array.from({ length: 7 }, () => transport.stream({ method: 'GET', path: '/watch', signal: stop.signal })),
    );
    for (const stream of streams) {
      const first = await stream.chunks[Symbol.asyncIterator]().next();
      expect(text(first.value as Uint8Array)).toBe('one\n');
    }
    const waiting = transport.stream({ method: 'GET', path: '/watch', signal: stop.signal }).then(async (stream) => {
      for await (const _chunk of stream.chunks) stop.abort(new Error('enough'));
    });
    await expect(waiting).rejects.toThrow();
    transport.close();
  });

  it('rejects when the server is not who it should be, or is not there', async () => {
    const stranger = resolveConnection(
      parseKubeconfig(
        `{clusters: [{name: c, cluster: {server: "https://127.0.0.1:${port}"}}], contexts: [{name: x, context: {cluster: c}}], current-context: x}`,
        '/',
      ),
      clock,
    );
    await expect(httpsTransport({ connection: stranger, clock, userAgent: 't' }).request({ method: 'GET', path: '/' })).rejects.toThrow(
      /self-signed|certificate/,
    );
    const nobody = { ...stranger, server: 'https://127.0.0.1:1' };
    await expect(httpsTransport({ connection: nobody, clock, userAgent: 't' }).request({ method: 'GET', path: '/' })).rejects.toThrow(
      'ECONNREFUSED',
    );
  });
});

describe('resolveConnection', () => {
  const config = (user: string, cluster = '{server: "https://h:1"}') =>
    parseKubeconfig(
      `{current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}], clusters: [{name: c, cluster: ${cluster}}], users: [{name: u, user: ${user}}]}`,
      '/',
    );

  it('refuses what it cannot do, by name', () => {
    expect(() => resolveConnection(config('{exec: {command: aws}}'), clock)).toThrow(
      'user "u" gets its credentials from a helper program (exec), which is not supported',
    );
    expect(() => resolveConnection(config('{auth-provider: {name: gcp}}'), clock)).toThrow('auth-provider');
    expect(() => resolveConnection(config('{}', '{server: "https://h", proxy-url: "http://p"}'), clock)).toThrow('proxy-url');
    expect(() => resolveConnection(config('{}'), clock, { context: 'y' })).toThrow('context "y" does not exist');
    expect(() => parseKubeconfig('{users: [{name: u, user: {client-key-data: "?"}}]}', '/')).toThrow(
      'client-key-data of user u is not base64',
    );
    expect(() => parseKubeconfig('a: [', '/')).toThrow('not valid YAML');
  });

  it('reads a token file again when it has changed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'coffer-token-'));
    writeFileSync(join(folder, 'token'), 'first\n');
    const config = parseKubeconfig(
      '{current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}], clusters: [{name: c, cluster: {server: "https://h"}}], users: [{name: u, user: {tokenFile: token, token: other}}]}',
      folder,
    );
    const connection = resolveConnection(config, clock);
    expect(await connection.credentials()).toEqual({ authorization: 'Bearer first' });
    writeFileSync(join(folder, 'token'), 'second');
    expect(await connection.credentials()).toEqual({ authorization: 'Bearer first' });
    await clock.advance(11_000);
    expect(await connection.credentials()).toEqual({ authorization: 'Bearer second' });
    writeFileSync(join(folder, 'ca.crt'), 'PEM');
    writeFileSync(join(folder, 'namespace'), 'ns');
    const inside = inClusterConnection(clock, { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '443' }, folder);
    expect([inside.server, inside.tls.ca, inside.namespace]).toEqual(['https://10.0.0.1:443', 'PEM', 'ns']);
    expect(await inside.credentials()).toEqual({ authorization: 'Bearer second' });
    rmSync(folder, { recursive: true });
  });
});
