import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { type RequestOptions, request } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { silentLogger } from '@coffer/base/log/logger';
import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import * as kubeconfig from '../config/kubeconfig.ts';
import { dataPaths } from '../config/paths.ts';
import { addServerFlags, type ServerFlags } from '../config/server-flags.ts';
import { type RunningServer, startServer } from './server.ts';

vi.mock('../config/kubeconfig.ts', { spy: true });

const configMaps = '/api/v1/namespaces/default/configmaps';
let directory: string;
let server: RunningServer | undefined;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'coffer-server-'));
});
afterEach(async () => {
  await server?.close(0);
  server = undefined;
  await rm(directory, { recursive: true });
});

async function start(...args: string[]): Promise<RunningServer> {
  const command = new Command();
  addServerFlags(command);
  command.parse(['--data-dir', directory, '--secure-port', '0', '--storage-backend', 'memory', ...args], { from: 'user' });
  server = await startServer(command.opts<ServerFlags>(), {
    paths: dataPaths(directory),
    logger: silentLogger,
    podGateway: Promise.resolve(undefined),
    nodeApiFor: () => undefined,
    onFatal: (error) => expect.unreachable(error.message),
  });
  return server;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

/** A request of the administrator that is yet to be ended. */
function open({ front, keys }: RunningServer, method: string, url: string, options: RequestOptions = {}): ClientRequest {
  const { certificatePem: cert, keyPem: key } = keys.admin;
  return request(front.url + url, { method, rejectUnauthorized: false, agent: false, cert, key, ...options });
}

async function answerOf(sent: ClientRequest): Promise<Answer> {
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode ?? 0, headers: response.headers, text };
}

function send(to: RunningServer, method: string, url: string, body?: string): Promise<Answer> {
  return answerOf(open(to, method, url).end(body));
}

const configMap = (name: string) => JSON.stringify({ metadata: { name } });

describe('startServer', () => {
  it('is neither ready nor live before the kubeconfig is written', async () => {
    const { writeKubeconfig } = await vi.importActual<typeof kubeconfig>('../config/kubeconfig.ts');
    const endpoints = ['readyz', 'healthz', 'livez'] as const;
    const statuses = (url: string) =>
      Promise.all(
        endpoints.map(
          async (name) => (await answerOf(request(`${url}/${name}`, { rejectUnauthorized: false, agent: false }).end())).status,
        ),
      );
    let before: number[] | undefined;
    vi.mocked(kubeconfig.writeKubeconfig).mockImplementationOnce(async (file, url, ...rest) => {
      before = await statuses(url);
      await writeKubeconfig(file, url, ...rest);
    });
    const { front } = await start();
    expect(before).toEqual([500, 500, 500]);
    expect(await statuses(front.url)).toEqual([200, 200, 200]);
  });

  it('refuses more requests at one time than the flags allow, reads, writes and watches apart, but never an administrator', async () => {
    const tokens = path.join(directory, 'tokens.csv');
    await writeFile(tokens, 'a-token,jane,jane\n', { mode: 0o600 });
    const running = await start('--max-requests-inflight', '2', '--max-mutating-requests-inflight', '2', '--token-auth-file', tokens);
    const binding = {
      metadata: { name: 'jane' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'jane' }],
    };
    const bound = await send(running, 'POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', JSON.stringify(binding));
    expect(bound.status, bound.text).toBe(201);
    const jane = (method: string, url: string, length?: number) => {
      const headers = { authorization: 'Bearer a-token', ...(length === undefined ? {} : { 'content-length': length }) };
      return request(running.front.url + url, { method, rejectUnauthorized: false, agent: false, headers });
    };
    const create = (name: string) => answerOf(jane('POST', configMaps).end(configMap(name)));
    const watches = Array.from({ length: 5 }, () => jane('GET', `${configMaps}?watch=1`).end());
    for (const [response] of await Promise.all(watches.map((watch) => once(watch, 'response')))) expect(response.statusCode).toBe(200);

    // Two writes whose bodies are on their way.
    const slow = ['a', 'b'].map((name) => {
      const post = jane('POST', configMaps, configMap(name).length);
      post.write(configMap(name).slice(0, 5));
      return { post, answer: answerOf(post), rest: configMap(name).slice(5) };
    });
    let refused: Answer;
    let others = 0;
    do refused = await create(`other-${others++}`);
    while (refused.status === 201);
    expect(refused).toMatchObject({ status: 429, headers: { 'retry-after': '1' }, text: 'Too many requests, please try again later.\n' });
    expect((await answerOf(jane('GET', configMaps).end())).status).toBe(200);
    expect((await send(running, 'POST', configMaps, configMap('urgent'))).status).toBe(201);

    for (const { post, rest } of slow) post.end(rest);
    for (const { answer } of slow) expect((await answer).status).toBe(201);
    expect((await create('c')).status).toBe(201);
    for (const watch of watches) watch.on('error', () => {}).destroy();
  });

  it('takes bodies up to 3 MiB and gives up one that does not arrive in time', async () => {
    const running = await start('--request-timeout', '500ms');
    const filled = (size: number) => `{"metadata":{"name":"large"},"data":{"k":"${'x'.repeat(size)}"}}`;
    const large = await send(running, 'POST', configMaps, filled(3 * 1024 * 1024));
    expect(large.status).toBe(413);
    expect(JSON.parse(large.text)).toMatchObject({ kind: 'Status', reason: 'RequestEntityTooLarge', code: 413 });
    // Short enough to be read, and then too large for a ConfigMap.
    expect((await send(running, 'POST', configMaps, filled(3 * 1024 * 1024 - 100))).status).toBe(422);
    const stuck = open(running, 'POST', configMaps, { headers: { 'content-length': 100 } });
    stuck.write('{');
    const late = await answerOf(stuck);
    expect(late.status).toBe(504);
    expect(JSON.parse(late.text)).toMatchObject({ kind: 'Status', reason: 'Timeout', code: 504 });
  });
});
