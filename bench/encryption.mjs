// What encryption at rest costs: CPU time of the server per create and per GET of a Secret, with and without aesgcm. Two servers take
// turns (A B B A …) in one run, so that whatever else the machine does meets both; the figure is the median of the differences. On a
// busy machine every turn costs more: the quietest turns (lowest tenth of each server) are shown beside it.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { call, percentile, sleep, startServer, stopServer } from './support.mjs';

const rounds = 40;
const warmUp = 10;
const requestsPerTurn = 500;
const connections = 32;

/** Calls `report(figure, value, target)` for each figure. */
export async function benchEncryption(report) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'coffer-bench-'));
  const servers = [];
  try {
    const plain = await start(directory, 'identity', { identity: {} });
    servers.push(plain);
    const secret = Buffer.alloc(32, 7).toString('base64');
    const encrypted = await start(directory, 'aesgcm', { aesgcm: { keys: [{ name: 'bench', secret }] } });
    servers.push(encrypted);
    const created = await paired(plain, encrypted, create);
    report('encryption (aesgcm): CPU added to a create of a Secret', summary(created), '≤ 40 µs');
    const read = await paired(plain, encrypted, get);
    report('encryption (aesgcm): CPU added to a GET of a Secret', summary(read), 'nothing');
  } finally {
    for (const server of servers) await stopServer(server);
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

async function start(directory, name, provider) {
  const file = path.join(directory, `${name}.json`);
  const resources = [{ resources: ['secrets'], providers: [provider] }];
  fs.writeFileSync(file, JSON.stringify({ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'EncryptionConfiguration', resources }));
  const server = await startServer(['--runtime', 'none', '--encryption-provider-config', file]);
  await createNamed(server, 'read');
  await sleep(2000);
  return server;
}

/** CPU microseconds per request of each turn, in pairs. */
async function paired(plain, encrypted, request) {
  const pairs = [];
  for (let round = 0; round < rounds + warmUp; round++) {
    const order = round % 2 === 0 ? [plain, encrypted] : [encrypted, plain];
    const costs = new Map();
    for (const server of order) costs.set(server, await turn(server, request));
    if (round >= warmUp) pairs.push({ plain: costs.get(plain), encrypted: costs.get(encrypted) });
  }
  return pairs;
}

let names = 0;

async function turn(server, request) {
  const before = cpuMicroseconds(server.child.pid);
  let left = requestsPerTurn;
  const work = async () => {
    while (left-- > 0) {
      const { status, body } = await request(server);
      if (status >= 300) throw new Error(`${status}: ${body}`);
    }
  };
  await Promise.all(Array.from({ length: connections }, work));
  return (cpuMicroseconds(server.child.pid) - before) / requestsPerTurn;
}

const password = Buffer.alloc(900, 'p').toString('base64');

function create(server) {
  return createNamed(server, `s${names++}`);
}

function createNamed(server, name) {
  const body = { apiVersion: 'v1', kind: 'Secret', metadata: { name }, data: { password } };
  return call(server, 'POST', '/api/v1/namespaces/default/secrets', body);
}

function get(server) {
  return call(server, 'GET', '/api/v1/namespaces/default/secrets/read');
}

/** Time all threads of a process have run so far. */
function cpuMicroseconds(pid) {
  let nanoseconds = 0;
  for (const thread of fs.readdirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(fs.readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
  }
  return nanoseconds / 1000;
}

function summary(pairs) {
  const added = pairs.map(({ plain, encrypted }) => encrypted - plain);
  const of = (percent) =>
    [pairs.map(({ plain }) => plain), pairs.map(({ encrypted }) => encrypted)].map((values) => percentile(values, percent).toFixed(0));
  const spread = `middle half ${percentile(added, 25).toFixed(0)} to ${percentile(added, 75).toFixed(0)} of ${pairs.length} pairs`;
  return `${percentile(added, 50).toFixed(0)} µs (${spread}; medians ${of(50).join(' → ')} µs, quietest turns ${of(10).join(' → ')} µs)`;
}
