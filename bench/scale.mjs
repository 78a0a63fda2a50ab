// Cost as data grows: the same requests at 1 000 and at 100 000 ConfigMaps, memory, restart, and the store's file after many updates.
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { call, fill, percentile, residentMegabytes, sleep, startServer, stopServer, token } from './support.mjs';

const small = 1000;
const large = 100_000;
const updates = Number(process.env.COFFER_BENCH_STORE_UPDATES ?? 1_000_000);

/** Runs everything and calls `report(figure, value, target)` for each figure. */
export async function benchScale(report) {
  let server = await startServer(['--runtime', 'none']);
  await fill(server, 'scale', 's', small);
  const before = await costs(server);
  await fill(server, 'scale', 's', large);
  await sleep(5000);
  report('resident memory with 100 000 ConfigMaps', `${residentMegabytes(server.child.pid).toFixed(0)} MB`, '≤ 600 MB');
  const after = await costs(server);
  for (const name of Object.keys(before)) {
    const text = `${before[name].toFixed(2)} ms → ${after[name].toFixed(2)} ms: ${(after[name] / before[name]).toFixed(2)} ×`;
    report(`${name}, p50 at 1 000 → at 100 000 objects`, text, '≤ 1.25 ×');
  }
  await stopServer(server, { keepData: true });
  server = await startServer(['--runtime', 'none'], { dataDir: server.dataDir });
  report('restart with 100 000 objects', `${server.readyMs.toFixed(0)} ms`, '≤ 2 s');
  await stopServer(server);

  server = await startServer(['--runtime', 'none']);
  await fill(server, 'scale', 's', 1);
  const startedMs = performance.now();
  await updateOne(server, updates);
  const perSecond = (updates / (performance.now() - startedMs)) * 1000;
  report(`${updates} updates of one object, 32 at a time`, `${perSecond.toFixed(0)} /s`, '');
  report('resident memory after them, file pages included', `${residentMegabytes(server.child.pid).toFixed(0)} MB`, '');
  const megabytes = fs.statSync(path.join(server.dataDir, 'db/data.mdb')).size / 1024 / 1024;
  report(`the store's file after ${updates} updates of one object`, `${megabytes.toFixed(0)} MiB`, '< 512 MiB');
  const { body } = await call(server, 'GET', '/metrics');
  const lag = /nodejs_eventloop_lag_p99_seconds ([\d.e-]+)/.exec(body.toString())?.[1];
  report('event loop, p99 turn during these updates', `${(Number(lag) * 1000).toFixed(1)} ms`, 'p99.9 ≤ 20 ms');
  await stopServer(server);
}

/** p50 in ms of a GET, a LIST with limit=500, and the way of an event from the write's start to one watcher. */
async function costs(server) {
  const get = await p50(500, () => call(server, 'GET', '/api/v1/namespaces/scale/configmaps/s7'));
  const list = await p50(200, () => call(server, 'GET', '/api/v1/namespaces/scale/configmaps?limit=500'));
  return { GET: get, 'LIST limit=500': list, 'watch event': await watchEvent(server) };
}

async function p50(count, action) {
  const times = [];
  for (let i = 0; i < count + 50; i++) {
    const startedMs = performance.now();
    await action();
    if (i >= 50) times.push(performance.now() - startedMs);
  }
  return percentile(times, 50);
}

async function watchEvent(server) {
  const { body } = await call(server, 'GET', '/api/v1/namespaces/scale/configmaps?limit=1');
  const { resourceVersion } = JSON.parse(body).metadata;
  let arrived;
  const request = https.get(`${server.base}/api/v1/namespaces/scale/configmaps?watch=true&resourceVersion=${resourceVersion}`, {
    headers: { authorization: `Bearer ${token}` },
    rejectUnauthorized: false,
    agent: false,
  });
  const response = await new Promise((resolve, reject) => request.on('response', resolve).on('error', reject));
  response.on('data', () => arrived?.(performance.now())).on('error', () => {});
  const times = [];
  for (let i = 0; i < 300; i++) {
    const event = new Promise((resolve) => (arrived = resolve));
    const startedMs = performance.now();
    await patch(server, i);
    times.push((await event) - startedMs);
  }
  request.on('error', () => {}).destroy();
  return percentile(times, 50);
}

const patch = (server, i) =>
  call(
    server,
    'PATCH',
    '/api/v1/namespaces/scale/configmaps/s0',
    { data: { n: String(i) } },
    { 'content-type': 'application/merge-patch+json' },
  );

async function updateOne(server, count) {
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < count; i = next++) {
      const { status } = await patch(server, i);
      if (status !== 200) throw new Error(`PATCH answered ${status}`);
    }
  };
  await Promise.all(Array.from({ length: 32 }, worker));
}
