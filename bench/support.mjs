// What the benchmarks share: the built server as a child process, requests, wrk, percentiles, memory. Prints, asserts nothing.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');
export const token = 'bench-token';

/** Bundles bench/NAME.ts into a program for plain Node; answers its path. */
export async function bundle(name) {
  const { build } = await import('esbuild');
  const outfile = path.join(root, '.cache/bench', `${name}.mjs`);
  await build({
    ...JSON.parse(fs.readFileSync(path.join(root, 'hack/esbuild.json'), 'utf8')),
    entryPoints: [path.join(root, 'bench', `${name}.ts`)],
    outfile,
    logLevel: 'error',
  });
  return outfile;
}

const agent = new https.Agent({ keepAlive: true, maxSockets: 64, rejectUnauthorized: false });

/**
 * Starts `coffer up` and resolves when it is ready; `readyMs` is the time from spawn to the first `/readyz` ok. `options.probe` is a
 * module that Node loads into the server first; what it finds goes to `turnsFile`.
 */
export async function startServer(args = [], options = {}) {
  const dataDir = options.dataDir ?? fs.mkdtempSync(path.join(os.tmpdir(), 'coffer-bench-'));
  const port = await freePort();
  const tokens = path.join(dataDir, 'tokens.csv');
  fs.writeFileSync(tokens, `${token},admin,admin,"system:masters"\n`);
  const startedMs = performance.now();
  const turnsFile = path.join(dataDir, 'turns.json');
  const nodeArgs = options.probe === undefined ? [] : ['--import', options.probe];
  const flags = ['--data-dir', dataDir, '--secure-port', String(port), '--token-auth-file', tokens];
  const child = spawn(process.execPath, [...nodeArgs, path.join(root, 'dist/coffer.mjs'), 'up', ...flags, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, COFFER_BENCH_TURNS: turnsFile },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  const server = { child, port, dataDir, base: `https://127.0.0.1:${port}`, readyMs: 0, turnsFile, output: () => output };
  for (;;) {
    if (child.exitCode !== null) throw new Error(`server ended: ${output}`);
    const answer = await call(server, 'GET', '/readyz').catch(() => undefined);
    if (answer?.status === 200) break;
    await sleep(5);
  }
  server.readyMs = performance.now() - startedMs;
  return server;
}

export async function stopServer(server, options = {}) {
  if (options.down)
    spawnSync(process.execPath, [path.join(root, 'dist/coffer.mjs'), 'down', '--data-dir', server.dataDir], { timeout: 60_000 });
  if (server.child.exitCode === null) {
    const ended = new Promise((resolve) => server.child.once('exit', resolve));
    server.child.kill('SIGTERM');
    await ended;
  }
  if (!options.keepData) fs.rmSync(server.dataDir, { recursive: true, force: true });
}

export function call(server, method, url, body, headers = {}) {
  const data = body === undefined ? undefined : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const request = https.request(
      {
        host: '127.0.0.1',
        port: server.port,
        method,
        path: url,
        agent,
        headers: {
          authorization: `Bearer ${token}`,
          ...(data ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(data) } : {}),
          ...headers,
        },
      },
      (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('end', () => resolve({ status: response.statusCode, body: Buffer.concat(chunks) }));
        response.on('error', reject);
      },
    );
    request.on('error', reject);
    request.end(data);
  });
}

export const configMap = (name, value = 'x'.repeat(900)) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, labels: { app: 'bench' } },
  data: { k: value },
});

/** Creates `count` objects `<prefix><i>` with 32 requests at a time. */
export async function fill(server, namespace, prefix, count) {
  await call(server, 'POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < count; i = next++) {
      const { status, body } = await call(server, 'POST', `/api/v1/namespaces/${namespace}/configmaps`, configMap(`${prefix}${i}`));
      if (status !== 201 && status !== 409) throw new Error(`create answered ${status}: ${body.toString().slice(0, 200)}`);
    }
  };
  await Promise.all(Array.from({ length: 32 }, worker));
}

let runs = 0;
/** One wrk run with one thread; requests per second, latencies in ms, MB per second. */
export function wrk(server, load, connections, namespace, seconds = 6) {
  const { stdout, stderr } = spawnSync(
    'wrk',
    ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', '-s', path.join(root, 'bench/wrk/requests.lua'), server.base],
    {
      encoding: 'utf8',
      env: { ...process.env, COFFER_LOAD: load, COFFER_TOKEN: token, COFFER_NAMESPACE: namespace, COFFER_RUN: String(runs++) },
    },
  );
  const number = (pattern) => Number(pattern.exec(stdout)?.[1] ?? Number.NaN);
  const ms = (percent) => {
    const match = new RegExp(`${percent}%\\s+([\\d.]+)(us|ms|s)`).exec(stdout);
    return match ? Number(match[1]) * { us: 0.001, ms: 1, s: 1000 }[match[2]] : Number.NaN;
  };
  const transfer = /Transfer\/sec:\s+([\d.]+)(KB|MB|GB)/.exec(stdout);
  const errors = stdout.split('\n').filter((line) => /unexpected|Non-2xx|Socket errors/.test(line));
  if (errors.length > 0 || stderr) console.log(`  wrk: ${[...errors, stderr].join(' ')}`);
  return {
    perSecond: number(/Requests\/sec:\s+([\d.]+)/),
    p50: ms(50),
    p99: ms(99),
    megabytesPerSecond: transfer ? Number(transfer[1]) * { KB: 0.001, MB: 1, GB: 1000 }[transfer[2]] : Number.NaN,
  };
}

export function percentile(values, percent) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((percent / 100) * sorted.length))] ?? Number.NaN;
}

/** Resident memory of a process in MB (10^6 bytes). */
export function residentMegabytes(pid) {
  return (Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024) / 1e6;
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
