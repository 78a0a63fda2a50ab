import { rm } from 'node:fs/promises';
import type { ClientRequest } from 'node:http';
import { Agent, request } from 'node:https';
import { expect, it } from 'vitest';
import { CofferProcess, delay, eventually, freePort } from '../support/coffer-process.ts';
import { seededRandom } from './seeded-random.ts';

/** `kill -9` of the real server under 16 writers over HTTPS, with a client that resumes its watch after each restart. */
const kills = process.env.COFFER_SOAK === '1' ? 200 : 20;
const collection = '/api/v1/namespaces/default/configmaps';

interface Acknowledged {
  readonly name: string;
  readonly value: string;
}

it(`loses nothing in ${kills} kills of the server under 16 writers`, { timeout: 60_000 + kills * 6_000 }, async () => {
  const seed = Number(process.env.COFFER_SEED ?? Date.now() % 1_000_000);
  const random = seededRandom(seed);
  const port = await freePort();
  /** Every acknowledged resourceVersion, and what it wrote. */
  const acknowledged = new Map<number, Acknowledged>();
  const newest = new Map<string, number>();
  const watched: number[] = [];
  let server = await CofferProcess.start({ port, args: ['--runtime', 'none'] });
  const { dataDir } = server;
  const created = await server.call('GET', collection);
  let resumeAt: number = Number(created.body.metadata.resourceVersion);

  for (let kill = 0; kill < kills; kill++) {
    const watch = openWatch(server, resumeAt, watched);
    const writers = Array.from({ length: 16 }, (_, writer) => write(server, `w${writer}-${kill}`, acknowledged, newest));
    const enough = acknowledged.size + 17 + random() * 80;
    await eventually('writes', () => acknowledged.size >= enough);
    await delay(random() * 10);
    await server.stop('SIGKILL');
    await Promise.all(writers);
    await watch;
    resumeAt = watched.at(-1) ?? resumeAt;
    server = await CofferProcess.start({ port, dataDir, args: ['--runtime', 'none'] });
    const list = await server.call('GET', collection);
    const found = new Map<string, { readonly version: number; readonly value: string }>();
    for (const item of list.body.items)
      found.set(item.metadata.name, { version: Number(item.metadata.resourceVersion), value: item.data?.v });
    const lost = [...newest].filter(([name, version]) => {
      const now = found.get(name);
      return now === undefined || now.version < version || (now.version === version && now.value !== acknowledged.get(version)?.value);
    });
    expect(lost, `seed ${seed}, kill ${kill}`).toEqual([]);
  }

  // The watch that was resumed again and again saw every write that was acknowledged, in order, once.
  const last = Math.max(...acknowledged.keys());
  if (resumeAt < last) await openWatch(server, resumeAt, watched, last);
  expect(watched).toEqual([...new Set(watched)].sort((a, b) => a - b));
  const seen = new Set(watched);
  expect([...acknowledged.keys()].filter((version) => !seen.has(version))).toEqual([]);
  expect(acknowledged.size).toBeGreaterThan(kills * 16);
  await server.stop('SIGKILL');
  await rm(dataDir, { recursive: true });
  console.log(
    `${kills} kills, ${acknowledged.size} acknowledged writes, all there and all watched once (seed ${seed}; COFFER_SOAK=1 kills 200 times)`,
  );
});

/** Creates an object and updates it until the server is gone. */
async function write(
  server: CofferProcess,
  name: string,
  acknowledged: Map<number, Acknowledged>,
  newest: Map<string, number>,
): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let i = 0; ; i++) {
    const value = `${name}:${i}`.padEnd(400, 'x');
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' }, data: { v: value } };
    const answer = await send(server, agent, i === 0 ? 'POST' : 'PUT', i === 0 ? collection : `${collection}/${name}`, body).catch(
      () => undefined,
    );
    if (answer === undefined) break;
    if (answer.status >= 300) throw new Error(`${answer.status}: ${answer.text}`);
    const version = Number((JSON.parse(answer.text) as { metadata: { resourceVersion: string } }).metadata.resourceVersion);
    const before = acknowledged.get(version);
    if (before !== undefined) throw new Error(`resourceVersion ${version} was given to ${before.name} and again to ${name}`);
    acknowledged.set(version, { name, value });
    newest.set(name, version);
  }
  agent.destroy();
}

function send(
  server: CofferProcess,
  agent: Agent,
  method: string,
  path: string,
  body: unknown,
): Promise<{ readonly status: number; readonly text: string }> {
  const data = JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${server.token}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(data),
    };
    const outgoing: ClientRequest = request(
      { host: '127.0.0.1', port: server.port, method, path, agent, rejectUnauthorized: false, headers },
      (incoming) => {
        let text = '';
        incoming.on('data', (chunk: Buffer) => {
          text += chunk.toString();
        });
        incoming.on('error', reject);
        incoming.on('end', () => (incoming.complete ? resolve({ status: incoming.statusCode ?? 0, text }) : reject(new Error('cut off'))));
      },
    );
    outgoing.on('error', reject);
    outgoing.end(data);
  });
}

/** Appends the resourceVersions of all events behind `from` to `seen`; ends with the connection, or when it has seen `until`. */
function openWatch(server: CofferProcess, from: number, seen: number[], until = Number.POSITIVE_INFINITY): Promise<void> {
  return new Promise((resolve, reject) => {
    const path = `${collection}?watch=1&resourceVersion=${from}`;
    const headers = { authorization: `Bearer ${server.token}` };
    const outgoing = request({ host: '127.0.0.1', port: server.port, path, rejectUnauthorized: false, headers }, (incoming) => {
      let text = '';
      incoming.on('error', () => {});
      incoming.on('close', resolve);
      incoming.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        const lines = text.split('\n');
        text = lines.pop() ?? '';
        for (const line of lines) {
          const event = JSON.parse(line) as {
            readonly type: string;
            readonly object: { readonly metadata: { readonly resourceVersion: string } };
          };
          if (event.type === 'ERROR') reject(new Error(`the watch from ${from} failed: ${line}`));
          seen.push(Number(event.object.metadata.resourceVersion));
        }
        if ((seen.at(-1) ?? 0) >= until) outgoing.destroy();
      });
    });
    outgoing.on('error', () => resolve());
    outgoing.end();
  });
}
