// Start-up, memory, writes, reads, lists and watch fan-out of the control plane, beside the targets.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { benchFanOut } from './fan-out.mjs';
import { call, fill, residentMegabytes, root, sleep, startServer, stopServer, token, wrk } from './support.mjs';

/** Runs everything and calls `report(figure, value, target)` for each figure. */
export async function benchApi(report) {
  const first = await startServer(['--runtime', 'none']);
  report('first start → /readyz ok', `${first.readyMs.toFixed(0)} ms`, '');
  await stopServer(first, { keepData: true });
  const server = await startServer(['--runtime', 'none'], { dataDir: first.dataDir });
  report('start → /readyz ok', `${server.readyMs.toFixed(0)} ms`, '≤ 500 ms');
  await sleep(3000);
  report('resident memory idle', `${residentMegabytes(server.child.pid).toFixed(0)} MB`, '≤ 110 MB');
  await fill(server, 'bench', 'p', 500);
  const rate = (label, load, connections, target, namespace = 'bench') => {
    const result = wrk(server, load, connections, namespace);
    report(label, `${result.perSecond.toFixed(0)} /s, p50 ${result.p50.toFixed(2)} ms, p99 ${result.p99.toFixed(2)} ms`, target);
    return result;
  };
  const bare = await startOther(server, 'bare-server.mjs', [path.join(server.dataDir, 'bare'), token]);
  await fill(bare, 'bench', 'p', 500);
  // The same load on a server that does next to nothing tells what the machine could do at this moment.
  const beside = (label, load, connections, target) => {
    const { perSecond } = rate(label, load, connections, target);
    const most = wrk(bare, load, connections, 'bench').perSecond;
    report(`${label}, a bare server`, `${most.toFixed(0)} /s: Coffer has ${((perSecond / most) * 100).toFixed(0)} % of it`, '');
  };
  beside('create ConfigMap, 1 connection', 'create-configmap', 1, '≥ 900 /s');
  beside('create ConfigMap, 64 connections', 'create-configmap', 64, '≥ 6 000 /s');
  beside('create Secret, 64 connections', 'create-secret', 64, '≥ 5 000 /s');
  beside('merge-PATCH ConfigMap, 64 connections', 'patch', 64, '≥ 4 500 /s');
  beside('GET ConfigMap, 1 connection', 'get', 1, '≥ 4 000 /s');
  beside('GET ConfigMap, 64 connections', 'get', 64, '≥ 12 000 /s');
  bare.child.kill();
  await fill(server, 'lists', 'l', 4999); // with kube-root-ca.crt the namespace holds 5 000
  const list = rate('LIST 5 000 objects, 4 connections', 'list', 4, '≥ 75 /s', 'lists');
  const still = await staticBody(server);
  const share = ((list.megabytesPerSecond / still) * 100).toFixed(0);
  report(
    'LIST 5 000 objects, bytes',
    `${list.megabytesPerSecond.toFixed(0)} MB/s, ${share} % of a static body's ${still.toFixed(0)} MB/s`,
    '≥ 60 %',
  );
  rate('LIST limit=500, 4 connections', 'list-limit', 4, '≥ 750 /s', 'lists');
  await benchFanOut(server, report, 300, 50, 'p99 ≤ 12 ms');
  await benchFanOut(server, report, 1000, 20, 'p99 ≤ 25 ms');
  const { status, body } = await call(server, 'GET', '/api/v1/configmaps?limit=1');
  const total = status === 200 ? (JSON.parse(body).metadata.remainingItemCount ?? 0) + 1 : 0;
  report(
    `resident memory with ${total} ConfigMaps, after the load`,
    `${residentMegabytes(server.child.pid).toFixed(0)} MB`,
    '≤ 300 MB at 30 k',
  );
  await stopServer(server);
}

/** MB/s of the same bytes from a server that does nothing else. */
async function staticBody(server) {
  const { body } = await call(server, 'GET', '/api/v1/namespaces/lists/configmaps');
  const file = path.join(server.dataDir, 'list.json');
  fs.writeFileSync(file, body);
  const other = await startOther(server, 'static-server.mjs', [file]);
  const { megabytesPerSecond } = wrk(other, 'list', 4, 'lists');
  other.child.kill();
  return megabytesPerSecond;
}

/** Starts a server of this folder to compare with, with the certificate of `server`. */
async function startOther(server, script, args) {
  const pki = path.join(server.dataDir, 'pki');
  const files = [path.join(pki, 'apiserver.key'), path.join(pki, 'apiserver.crt')];
  const child = spawn(process.execPath, [path.join(root, 'bench', script), ...files, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [output] = await once(child.stdout, 'data');
  const port = Number(String(output));
  return { child, port, base: `https://127.0.0.1:${port}` };
}
