// Pods on real containers: creation to Running and to Ready, a Deployment of 50, memory. A containerd of its own from Debian's packages.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { deployment } from './node.mjs';
import { call, percentile, residentMegabytes, root, sleep, startServer, stopServer } from './support.mjs';

const starts = Number(process.env.COFFER_BENCH_CRI_STARTS ?? 30);
const pods = '/api/v1/namespaces/default/pods';

export async function benchCri(report) {
  const missing =
    process.getuid?.() !== 0 ? 'needs root' : spawnSync('apt-get', ['--version']).error ? "needs Debian's packages" : undefined;
  if (missing) {
    console.error(`the cri part is left out: ${missing}`);
    return;
  }
  const outfile = path.join(root, '.cache/bench/containerd.mjs');
  await build({ entryPoints: [path.join(root, 'test/support/containerd.ts')], outfile, bundle: true, platform: 'node', format: 'esm' });
  const { TestContainerd } = await import(outfile);
  const containerd = await TestContainerd.start();
  const server = await startServer(['--runtime', 'cri', '--container-runtime-endpoint', containerd.endpoint]);
  try {
    await podStarts(server, report, containerd.image);
    const before = residentMegabytes(server.child.pid);
    await deployment(server, report, { runtime: 'containerd', image: containerd.image, target: '≤ 8 s' });
    const own = (residentMegabytes(server.child.pid) - before) / 50;
    const text = `${own.toFixed(2)} MB of Coffer, ${(shimMegabytes(containerd.endpoint) / 50).toFixed(1)} MB of containerd's shim`;
    report('memory per idle pod, containerd', text, '–');
  } finally {
    await stopServer(server, { down: true });
    await containerd.stop();
  }
}

async function podStarts(server, report, image) {
  const running = [];
  const ready = [];
  for (let i = 0; i < starts + 2; i++) {
    const name = `start-${i}`;
    const containers = [{ name: 'c', image, imagePullPolicy: 'IfNotPresent', command: ['sleep', '3600'] }];
    const spec = { terminationGracePeriodSeconds: 0, containers };
    const startedMs = performance.now();
    await call(server, 'POST', pods, { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec });
    const found = { running: 0, ready: 0 };
    while (found.ready === 0) {
      const { status } = JSON.parse((await call(server, 'GET', `${pods}/${name}`)).body);
      const nowMs = performance.now() - startedMs;
      if (found.running === 0 && status?.phase === 'Running') found.running = nowMs;
      if (status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True')) found.ready = nowMs;
      else await sleep(5);
    }
    // The first ones warm up what stays.
    if (i >= 2) {
      running.push(found.running);
      ready.push(found.ready);
    }
    await call(server, 'DELETE', `${pods}/${name}?gracePeriodSeconds=0`);
    while ((await call(server, 'GET', `${pods}/${name}`)).status === 200) await sleep(20);
  }
  const figures = (values) => `p50 ${percentile(values, 50).toFixed(0)} ms, p99 ${percentile(values, 99).toFixed(0)} ms (${starts} pods)`;
  report('pod create → Running, containerd', figures(running), 'p50 ≤ 500 ms');
  report('pod create → Ready, containerd', figures(ready), 'p50 ≤ 450 ms');
}

/** Proportional memory of the shims of this containerd. */
function shimMegabytes(endpoint) {
  const directory = path.dirname(endpoint.slice('unix://'.length));
  let bytes = 0;
  for (const pid of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const command = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      if (!command.includes('containerd-shim') || !command.includes(directory)) continue;
      bytes += Number(/^Pss:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0) * 1024;
    } catch {
      // the process has gone
    }
  }
  return bytes / 1e6;
}
