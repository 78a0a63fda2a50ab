// Watch fan-out: how long an event is on its way to many watchers, beside a server that does nothing but write it to them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import https from 'node:https';
import path from 'node:path';
import { call, percentile, root, sleep, token } from './support.mjs';

/** `watchers` connections watch one namespace while one writer patches one ConfigMap `writesPerSecond` times a second. */
export async function benchFanOut(server, report, watchers, writesPerSecond, target) {
  const label = `watch fan-out, ${watchers} watchers, ${writesPerSecond} writes/s`;
  report(label, await fanOut(server, watchers, writesPerSecond), target);
  const pki = path.join(server.dataDir, 'pki');
  const args = [path.join(root, 'bench/fan-out-server.mjs'), path.join(pki, 'apiserver.key'), path.join(pki, 'apiserver.crt')];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const port = Number(String((await once(child.stdout, 'data'))[0]));
  report(`${label}, a server that only writes`, await fanOut({ port, base: `https://127.0.0.1:${port}` }, watchers, writesPerSecond), '');
  child.kill();
}

async function fanOut(server, watchers, writesPerSecond) {
  const agent = new https.Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, rejectUnauthorized: false });
  const latencies = [];
  const { body } = await call(server, 'GET', '/api/v1/namespaces/bench/configmaps?limit=1');
  const revision = JSON.parse(body).metadata.resourceVersion;
  const requests = [];
  await Promise.all(
    Array.from({ length: watchers }, () => {
      return new Promise((resolve, reject) => {
        const request = https.get(
          `${server.base}/api/v1/namespaces/bench/configmaps?watch=true&resourceVersion=${revision}`,
          { agent, headers: { authorization: `Bearer ${token}` } },
          (response) => {
            resolve();
            response.setEncoding('latin1');
            response.on('data', (text) => {
              for (const match of text.matchAll(/"sent":"(\d+\.\d+)"/g)) latencies.push(performance.now() - Number(match[1]));
            });
            response.on('error', () => {});
          },
        );
        request.on('error', reject);
        requests.push(request);
      });
    }),
  );
  const writes = writesPerSecond * 8;
  for (let i = 0; i < writes; i++) {
    const due = performance.now() + 1000 / writesPerSecond;
    const sent = performance.now().toFixed(3);
    await call(
      server,
      'PATCH',
      '/api/v1/namespaces/bench/configmaps/p1',
      { data: { sent } },
      { 'content-type': 'application/merge-patch+json' },
    );
    await sleep(Math.max(0, due - performance.now()));
  }
  await sleep(500);
  for (const request of requests) request.on('error', () => {}).destroy();
  const share = ((latencies.length / (writes * watchers)) * 100).toFixed(1);
  return `p50 ${percentile(latencies, 50).toFixed(1)} ms, p99 ${percentile(latencies, 99).toFixed(1)} ms (${share} % of events seen)`;
}
