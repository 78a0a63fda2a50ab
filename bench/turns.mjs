// How long one turn of the server's event loop lasts under full load of each kind: while it lasts, everybody else waits.
import fs from 'node:fs';
import path from 'node:path';
import { fill, root, sleep, startServer, stopServer, wrk } from './support.mjs';

const loads = [
  ['create ConfigMap, 64 connections', 'create-configmap', 64, 'bench'],
  ['create Secret, 64 connections', 'create-secret', 64, 'bench'],
  ['merge-PATCH ConfigMap, 64 connections', 'patch', 64, 'bench'],
  ['GET ConfigMap, 64 connections', 'get', 64, 'bench'],
  ['LIST 5 000 objects, 4 connections', 'list', 4, 'lists'],
  ['LIST 5 000 objects, 32 connections', 'list', 32, 'lists'],
  ['LIST `limit=500`, 4 connections', 'list-limit', 4, 'lists'],
];

/** Runs everything and calls `report(figure, value, target)` for each figure. */
export async function benchTurns(report) {
  const server = await startServer(['--runtime', 'none'], { probe: path.join(root, 'bench/turn-probe.mjs') });
  await fill(server, 'bench', 'p', 500);
  await fill(server, 'lists', 'l', 4999);
  for (const [label, load, connections, namespace] of loads) {
    wrk(server, load, connections, namespace, 2);
    await turns(server);
    wrk(server, load, connections, namespace);
    const { p99, p999, longest } = await turns(server);
    const value = `p99 ${p99.toFixed(1)} ms, p99.9 ${p999.toFixed(1)} ms, longest ${longest.toFixed(1)} ms`;
    report(`turns of the event loop: ${label}`, value, 'p99.9 ≤ 20 ms');
  }
  await stopServer(server);
}

async function turns(server) {
  fs.rmSync(server.turnsFile, { force: true });
  server.child.kill('SIGWINCH');
  while (!fs.existsSync(server.turnsFile)) await sleep(10);
  return JSON.parse(fs.readFileSync(server.turnsFile, 'utf8'));
}
