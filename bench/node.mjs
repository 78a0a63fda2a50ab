// From a ConfigMap's update to the file in a running container, and from a pod's creation to Running, on the sandbox runtime.
import fs from 'node:fs';
import path from 'node:path';
import { call, percentile, residentMegabytes, sleep, startServer, stopServer } from './support.mjs';

const updates = Number(process.env.COFFER_BENCH_UPDATES ?? 1000);

export async function benchNode(report) {
  const server = await startServer(['--runtime', 'sandbox', '--max-pods', '600']);
  await sleep(2000);
  report('idle memory of the whole in one process', `${residentMegabytes(server.child.pid).toFixed(0)} MB`, '≤ 150 MB');
  const ns = '/api/v1/namespaces/default';
  await call(server, 'POST', `${ns}/configmaps`, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' }, data: { v: '0' } });
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'reader' },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'c', image: 'x', command: ['sleep', '3600'], volumeMounts: [{ name: 'v', mountPath: '/etc/v' }] }],
      volumes: [{ name: 'v', configMap: { name: 'c' } }],
    },
  };
  await call(server, 'POST', `${ns}/pods`, pod);
  await untilPhase(server, 'reader', 'Running');
  await updateToFile(server, report, ns);
  await podStarts(server, report, ns, pod);
  await fanOut(server, report, ns, pod, 100, '–');
  await fanOut(server, report, ns, pod, 500, 'p99 ≤ 1000 ms');
  await deployment(server, report, { runtime: 'sandbox', image: 'x', target: '≤ 2.5 s' });
  await stopServer(server, { down: true });
}

export async function untilPhase(server, name, phase) {
  for (;;) {
    const { body } = await call(server, 'GET', `/api/v1/namespaces/default/pods/${name}`);
    if (JSON.parse(body).status?.phase === phase) return;
    await sleep(2);
  }
}

/** The file as the container sees it: through the root of its first process. */
async function updateToFile(server, report, ns) {
  const file = await fileOf();
  const latencies = [];
  for (let i = 1; i <= updates; i++) {
    const startedMs = performance.now();
    await call(server, 'PATCH', `${ns}/configmaps/c`, { data: { v: String(i) } }, { 'content-type': 'application/merge-patch+json' });
    while (fs.readFileSync(file, 'utf8') !== String(i)) await sleep(1);
    latencies.push(performance.now() - startedMs);
  }
  const text = `p50 ${percentile(latencies, 50).toFixed(1)} ms, p99 ${percentile(latencies, 99).toFixed(1)} ms (${updates} updates)`;
  report('ConfigMap update → content of the file in a running container', text, 'p99 ≤ 50 ms');
}

/** Finds a process of the container whose root shows the mounted file. */
async function fileOf() {
  for (;;) {
    for (const pid of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      const file = `/proc/${pid}/root/etc/v/v`;
      try {
        if (fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8') === 'sleep\x003600\0' && fs.existsSync(file)) return file;
      } catch {
        // the process has gone
      }
    }
    await sleep(50);
  }
}

/** One change for many pods: when each volume of the node shows it, by the time at which its `..data` link was renamed. */
async function fanOut(server, report, ns, template, count, target) {
  const pods = `${ns}/pods?labelSelector=fan%3Dout`;
  const items = async () => JSON.parse((await call(server, 'GET', pods)).body).items;
  const idle = residentMegabytes(server.child.pid);
  const present = (await items()).length;
  for (let i = present; i < count; i++) {
    const metadata = { name: `fan-${i}`, labels: { fan: 'out' } };
    const spec = { ...template.spec, automountServiceAccountToken: false };
    const { status, body } = await call(server, 'POST', `${ns}/pods`, { ...template, metadata, spec });
    if (status !== 201) throw new Error(`create answered ${status}: ${body}`);
  }
  let list = await items();
  for (; list.some((pod) => pod.status.phase !== 'Running'); list = await items()) await sleep(500);
  const perPod = (residentMegabytes(server.child.pid) - idle) / (count - present);
  const directories = list.map(({ metadata }) =>
    path.join(server.dataDir, 'kubelet/pods', metadata.uid, 'volumes/kubernetes.io~configmap/v'),
  );
  const latencies = [];
  for (let round = 1; round <= 10; round++) {
    await sleep(1500);
    const value = `${count}.${round}`;
    const startedMs = Date.now();
    await call(server, 'PATCH', `${ns}/configmaps/c`, { data: { v: value } }, { 'content-type': 'application/merge-patch+json' });
    for (const directory of directories) {
      while (fs.readFileSync(path.join(directory, 'v'), 'utf8') !== value) await sleep(5);
      latencies.push(fs.lstatSync(path.join(directory, '..data')).ctimeMs - startedMs);
    }
  }
  const text = `p50 ${percentile(latencies, 50).toFixed(0)} ms, p99 ${percentile(latencies, 99).toFixed(0)} ms (10 updates)`;
  report(`ConfigMap update → files of ${count} pods`, text, target);
  report(`server memory per idle pod, ${present} → ${count} pods`, `${(perPod * 1024).toFixed(0)} KB`, '–');
}

async function podStarts(server, report, ns, template) {
  const latencies = [];
  for (let i = 0; i < 20; i++) {
    const name = `start-${i}`;
    const startedMs = performance.now();
    await call(server, 'POST', `${ns}/pods`, { ...template, metadata: { name } });
    await untilPhase(server, name, 'Running');
    latencies.push(performance.now() - startedMs);
    await call(server, 'DELETE', `${ns}/pods/${name}?gracePeriodSeconds=0`);
  }
  report(
    'pod create → Running, sandbox',
    `p50 ${percentile(latencies, 50).toFixed(0)} ms, p99 ${percentile(latencies, 99).toFixed(0)} ms`,
    '≤ 200 ms to Ready; p50 ≤ 60 ms',
  );
}

/** From the creation of a Deployment of 50 pods until all are ready. */
export async function deployment(server, report, { runtime, image, target }) {
  const apps = '/apis/apps/v1/namespaces/default/deployments';
  const spec = {
    replicas: 50,
    selector: { matchLabels: { app: 'fifty' } },
    template: {
      metadata: { labels: { app: 'fifty' } },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'c', image, imagePullPolicy: 'IfNotPresent', command: ['sleep', '3600'] }],
      },
    },
  };
  const startedMs = performance.now();
  await call(server, 'POST', apps, { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'fifty' }, spec });
  for (;;) {
    const { body } = await call(server, 'GET', `${apps}/fifty`);
    if (JSON.parse(body).status?.readyReplicas === 50) break;
    await sleep(10);
  }
  report(`Deployment of 50 pods → rolled out, ${runtime}`, `${((performance.now() - startedMs) / 1000).toFixed(2)} s`, target);
}
