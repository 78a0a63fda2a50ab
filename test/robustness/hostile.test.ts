import { readdirSync } from 'node:fs';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, CofferProcess, delay, eventually } from '../support/coffer-process.ts';
import { mutate, pick } from './mutate.ts';
import { samples } from './sample-objects.ts';
import { seededRandom } from './seeded-random.ts';
import { isUpstreams500 } from './upstreams-500.ts';

/** Requests that nobody would send in good faith, over the whole surface: no 5xx, no hang, no growth. */
const full = process.env.COFFER_SOAK === '1';
const requests = full ? 100_000 : 10_000;
const stalledWatchers = full ? 500 : 50;
const stalledReaders = full ? 200 : 20;
const seed = Number(process.env.COFFER_SEED ?? Date.now() % 1_000_000);
const growth = 50 * 1024 * 1024;
/** What TLS and at most half a megabyte in flight of each stalled connection may take, and what V8 keeps of the heap after a collection. */
const stalledGrowth = 2 * growth + (stalledWatchers + stalledReaders) * 640 * 1024;

/** Connections of clients that read, which the server may keep open. */
const idleConnections = 10;

let coffer: CofferProcess;
const openFiles = (): number => readdirSync(`/proc/${coffer.child.pid}/fd`).length;

beforeAll(async () => {
  coffer = await CofferProcess.start({ args: ['--runtime', 'none', '--history-max-bytes', '4194304'] });
});
afterAll(async () => {
  expect(coffer.child.exitCode ?? coffer.child.signalCode, coffer.output).toBeNull();
  await coffer.dispose();
});

const methods = ['GET', 'GET', 'GET', 'PUT', 'POST', 'POST', 'PATCH', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND'];
const roots = [
  '/api',
  '/apis',
  '/openapi/v2',
  '/openapi/v3',
  '/version',
  '/metrics',
  '/healthz',
  '/livez/ping',
  '/',
  '/.well-known/openid-configuration',
];
const names = ['x', 'kube-root-ca.crt', '..', '%2e%2e', '%00', 'ü', '__proto__', 'a%2Fb', 'constructor', 'N'.repeat(300), '*', ''];
const subresources = [
  'status',
  'scale',
  'log',
  'exec',
  'token',
  'binding',
  'eviction',
  'finalize',
  'approval',
  'nonsense',
  'attach',
  'portforward',
];
const values = [
  '',
  '0',
  '1',
  '-1',
  'true',
  'All',
  'x',
  '1e9',
  '99999999999999999999',
  '%',
  'a=b',
  'a in (',
  '!',
  'metadata.name=x',
  '\u0000',
  'Exact',
  'Background',
];
const parameters = [
  ...['limit', 'continue', 'resourceVersion', 'resourceVersionMatch', 'labelSelector', 'fieldSelector', 'pretty', 'dryRun', 'fieldManager'],
  ...['fieldValidation', 'force', 'gracePeriodSeconds', 'propagationPolicy', 'orphanDependents', 'tailLines', 'container', 'command', 'as'],
];
const accepts = [
  ...['*/*', 'application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf', 'text/html', 'x', 'application/json;q=5'],
  ...['application/json;as=Table;v=v1;g=meta.k8s.io', 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io', ';;;'],
];
const contentTypes = [
  ...['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf', 'application/merge-patch+json', 'text/plain', 'x/y;;'],
  ...['application/json-patch+json', 'application/strategic-merge-patch+json', 'application/apply-patch+yaml', ''],
];

interface Hostile {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

function hostile(random: () => number): Hostile {
  const sample = pick(random, samples);
  const method = pick(random, methods);
  const path = random() < 0.15 ? pick(random, roots) : hostilePath(random, sample.path);
  const query = Array.from({ length: Math.floor(random() * 4) }, () => {
    const value = pick(random, values);
    return `${pick(random, parameters)}=${value === '%' ? value : encodeURIComponent(value)}`;
  });
  const headers: Record<string, string> = { accept: pick(random, accepts), 'content-type': pick(random, contentTypes) };
  if (random() < 0.1) headers['impersonate-user'] = pick(random, ['jane', 'system:anonymous', 'system:serviceaccount:default:x']);
  if (random() < 0.1) headers.authorization = pick(random, ['Bearer x', 'Basic !!', 'Bearer', 'Bearer a.b.c']);
  if (random() < 0.05) headers['accept-encoding'] = pick(random, ['gzip', 'br', 'x']);
  const body = method === 'GET' || method === 'HEAD' ? undefined : hostileBody(random, sample);
  return { method, path: query.length > 0 ? `${path}?${query.join('&')}` : path, headers, body };
}

function hostilePath(random: () => number, collection: string): string {
  const segments = [collection];
  if (random() < 0.7) segments.push(pick(random, names));
  if (random() < 0.3) segments.push(pick(random, subresources));
  const path = segments.join('/');
  return random() < 0.1 ? path.replace('default', pick(random, names)) : path;
}

function hostileBody(random: () => number, sample: (typeof samples)[number]): string {
  const chance = random();
  if (chance < 0.2)
    return pick(random, [
      '',
      '{}',
      'null',
      '[]',
      '[[',
      '"x"',
      '{"a":',
      '\u0000',
      '- a\n- b',
      '&a [*a]',
      '['.repeat(20_000),
      '9'.repeat(5_000),
    ]);
  if (chance < 0.4) {
    const operation = {
      op: pick(random, ['add', 'remove', 'replace', 'move', 'copy', 'test', 'x']),
      path: pick(random, ['/data/a', '', '/-', '/a/b/c', 'x', '/__proto__/y', '/metadata/labels/~1']),
      from: '/data',
      value: { a: 1 },
    };
    return JSON.stringify([operation, operation]);
  }
  const object = sample.object(pick(random, ['x', 'y']));
  mutate(random, object);
  if (chance < 0.5) object.$patch = pick(random, ['delete', 'replace', 'x', 1]);
  if (chance < 0.55) object.$retainKeys = pick(random, [['a'], 'x', {}]);
  return JSON.stringify(object);
}

async function residentBytes(): Promise<number> {
  const metrics = await coffer.call('GET', '/metrics');
  return Number(/^process_resident_memory_bytes (\S+)/m.exec(metrics.text)?.[1]);
}

function openSocket(): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host: '127.0.0.1', port: coffer.port, rejectUnauthorized: false }, () => resolve(socket));
    socket.once('error', reject);
  });
}

/** What the server says on a connection until it closes it. */
function answerOn(socket: TLSSocket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
  });
}

describe('hostile requests', () => {
  it(`${requests} generated requests are answered without a 5xx`, { timeout: full ? 1_800_000 : 300_000 }, async () => {
    const random = seededRandom(seed);
    const problems: string[] = [];
    let left = 0;
    const worker = async (): Promise<void> => {
      while (left-- > 0 && problems.length < 10) {
        const { method, path, headers, body } = hostile(random);
        const said = `${method} ${path} ${JSON.stringify(headers)} ${body?.slice(0, 1500) ?? ''}`;
        const late = delay(20_000).then(() => undefined);
        const answer: Answer | undefined = await Promise.race([coffer.call(method, path, body, headers), late]).catch((error: Error) => {
          problems.push(`${error.message}: ${said}`);
          return undefined;
        });
        if (answer === undefined) problems.push(`no answer: ${said}`);
        else if (answer.status >= 500 && !isUpstreams500(method, answer)) problems.push(`${answer.status} ${answer.text}: ${said}`);
      }
    };
    const send = async (count: number): Promise<number> => {
      left = count;
      await Promise.all(Array.from({ length: 32 }, worker));
      expect(problems.join('\n\n'), `seed ${seed}`).toBe('');
      return coffer.heapBytes();
    };
    // The first tenth warms up: compiled code and caches are no growth.
    const warm = await send(requests / 10);
    expect((await send(requests - requests / 10)) - warm).toBeLessThan(growth);
    console.log(`${requests} requests (seed ${seed}; COFFER_SOAK=1 sends 100000)`);
  });

  it('limits headers, the URL and the body', async () => {
    const long = 'x'.repeat(1024 * 1024 + 64 * 1024);
    const headers = await coffer.call('GET', '/version', undefined, { 'x-long': long }).catch((error: Error) => error.message);
    expect(typeof headers === 'string' || headers.status === 431).toBe(true);
    const url = await coffer.call('GET', `/version?x=${long}`).catch((error: Error) => error.message);
    expect(typeof url === 'string' || [414, 431].includes(url.status)).toBe(true);
    const data = { a: 'x'.repeat(4 * 1024 * 1024) };
    const body = await coffer.call('POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: 'large' }, data });
    expect(body.status).toBe(413);
    expect((await coffer.call('GET', '/readyz')).status).toBe(200);
  });

  it('serves others while connections dribble', async () => {
    const sockets = await Promise.all(Array.from({ length: 50 }, openSocket));
    for (const socket of sockets) {
      socket.on('error', () => {});
      socket.write('POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n');
    }
    const dribble = setInterval(() => {
      for (const socket of sockets) if (socket.writable) socket.write('x-a: b\r\n');
    }, 100);
    const started = Date.now();
    for (let i = 0; i < 50; i++) expect((await coffer.call('GET', '/api/v1/namespaces/default')).status).toBe(200);
    expect(Date.now() - started).toBeLessThan(10_000);
    clearInterval(dribble);
    for (const socket of sockets) socket.destroy();
  });

  it('answers nonsense on the wire and closes', async () => {
    for (const text of [
      '\u0000\u0001\u0002\r\n\r\n',
      'GET\r\n\r\n',
      'GET / HTTP/9.9\r\n\r\n',
      'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n',
    ]) {
      const socket = await openSocket();
      const answer = answerOn(socket);
      socket.write(text);
      expect(await answer, JSON.stringify(text)).toMatch(/^(HTTP\/1\.1 4\d\d|$)/);
    }
  });

  it(`holds no memory for ${stalledWatchers} watchers and ${stalledReaders} list readers that do not read`, {
    timeout: 360_000,
  }, async () => {
    const collection = '/api/v1/namespaces/default/configmaps';
    const value = 'x'.repeat(50_000);
    const write = async (name: string, round: number): Promise<void> => {
      const body = { metadata: { name }, data: { value, round: String(round) } };
      await coffer.call(round === 0 ? 'POST' : 'PUT', round === 0 ? collection : `${collection}/${name}`, body);
    };
    await Promise.all(Array.from({ length: 40 }, (_, i) => write(`big-${i}`, 0)));
    const before = await coffer.heapBytes();
    const residentBefore = await residentBytes();
    const connectionsBefore = openFiles();
    const stalled = async (path: string): Promise<TLSSocket> => {
      const socket = await openSocket();
      socket.on('error', () => {});
      socket.pause();
      socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${coffer.token}\r\n\r\n`);
      return socket;
    };
    const sockets: TLSSocket[] = [];
    for (let i = 0; i < stalledWatchers; i++) sockets.push(await stalled(`${collection}?watch=1&resourceVersion=0`));
    for (let i = 0; i < stalledReaders; i++) sockets.push(await stalled(collection));
    for (let round = 1; round <= 5; round++) await Promise.all(Array.from({ length: 40 }, (_, i) => write(`big-${i}`, round)));
    // Whoever reads is served at once.
    expect((await coffer.call('GET', `${collection}/big-0`)).body.data.round).toBe('5');
    await eventually('a heap as before', async () => (await coffer.heapBytes()) - before < growth, 60_000);
    const resident = await residentBytes();
    expect(resident - residentBefore, `resident memory of ${resident}`).toBeLessThan(stalledGrowth);
    // Nobody waits for ever for such a reader; that takes more than a minute.
    if (full) {
      // Seen from the server: a client that does not read is not told. An answer that went into the kernel's buffers is an idle connection.
      await eventually('the end of every stalled connection', async () => openFiles() <= connectionsBefore + idleConnections, 150_000);
    }
    for (const socket of sockets) socket.destroy();
    console.log(`${stalledWatchers} stalled watchers, ${stalledReaders} stalled readers (COFFER_SOAK=1: 500 and 200)`);
  });
});
