import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { CofferProcess, delay, eventually } from '../support/coffer-process.ts';

// Audit as an operator sees it: files and a webhook, with the running program.

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(args: readonly string[]): Promise<CofferProcess> {
  const coffer = await CofferProcess.start({ args: ['--runtime', 'none', ...args] });
  closers.push(() => coffer.dispose());
  return coffer;
}

async function folder(): Promise<string> {
  const dir = await mkdtemp(path.join(tmpdir(), 'coffer-audit-'));
  closers.push(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

// biome-ignore lint/suspicious/noExplicitAny: events are navigated freely
async function eventsIn(...files: string[]): Promise<any[]> {
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  return texts.flatMap((text) =>
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line)),
  );
}

const configMaps = '/api/v1/namespaces/default/configmaps';

describe('the audit log', () => {
  it('follows its policy: levels, stages, and never the content of Secrets', async () => {
    const dir = await folder();
    const log = path.join(dir, 'audit.log');
    const policy = path.join(dir, 'policy.yaml');
    await writeFile(
      policy,
      `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, users: ["system:apiserver"]}
- {level: None, userGroups: ["system:serviceaccounts"]}
- {level: None, users: ["system:kube-scheduler"]}
- {level: None, nonResourceURLs: ["/readyz*"]}
- level: RequestResponse
  resources: [{group: "", resources: [secrets]}]
- level: Request
  resources: [{group: "", resources: [configmaps]}]
  verbs: [create]
- {level: Metadata}
`,
    );
    const coffer = await start(['--audit-log-path', log, '--audit-policy-file', policy]);
    await coffer.call('POST', configMaps, { metadata: { name: 'c' }, data: { a: 'plain-value' } });
    await coffer.call('POST', '/api/v1/namespaces/default/secrets', { metadata: { name: 's' }, stringData: { a: 'secret-value' } });
    await coffer.call('GET', `${configMaps}/c`);
    await coffer.call('GET', '/api/v1/namespaces/default/secrets/s');
    await coffer.call('GET', configMaps, undefined, { authorization: 'Bearer wrong' });
    await coffer.stop();
    const events = await eventsIn(log);
    expect(
      events.map(
        ({ level, stage, verb, objectRef, responseStatus }) => `${level} ${stage} ${verb} ${objectRef?.resource} ${responseStatus.code}`,
      ),
    ).toEqual([
      'Request ResponseComplete create configmaps 201',
      'Metadata ResponseComplete create secrets 201',
      'Metadata ResponseComplete get configmaps 200',
      'Metadata ResponseComplete get secrets 200',
      'Metadata ResponseStarted list configmaps 401',
    ]);
    expect(events[0].requestObject.data).toEqual({ a: 'plain-value' });
    const text = await readFile(log, 'utf8');
    for (const value of ['secret-value', Buffer.from('secret-value').toString('base64'), 'wrong']) expect(text).not.toContain(value);
  });

  it('loses nothing on SIGTERM, whatever was on its way', async () => {
    const log = path.join(await folder(), 'audit.log');
    const coffer = await start(['--audit-log-path', log]);
    const answers: string[] = [];
    const writers = Array.from({ length: 20 }, async (_, writer) => {
      for (let i = 0; i < 30; i++) {
        const name = `c-${writer}-${i}`;
        const answer = await coffer.call('POST', configMaps, { metadata: { name } }).catch(() => undefined);
        if (answer?.status !== 201) return;
        answers.push(String(answer.headers['audit-id']));
      }
    });
    await eventually('some answers', () => answers.length > 50);
    await coffer.stop('SIGTERM');
    await Promise.all(writers);
    const recorded = new Set((await eventsIn(log)).map(({ auditID }) => auditID));
    expect(answers.filter((id) => !recorded.has(id))).toEqual([]);
  });

  it('rotates by size without losing an event', async () => {
    const dir = await folder();
    const log = path.join(dir, 'audit.log');
    const coffer = await start(['--audit-log-path', log, '--audit-log-maxsize', '1', '--audit-log-mode', 'blocking']);
    const agent = 'x'.repeat(900);
    let sent = 0;
    const workers = Array.from({ length: 8 }, async () => {
      while (sent++ < 1500) await coffer.call('GET', `${configMaps}/absent`, undefined, { 'user-agent': agent });
    });
    await Promise.all(workers);
    await coffer.stop();
    const files = (await readdir(dir)).map((file) => path.join(dir, file));
    expect(files.length).toBeGreaterThan(1);
    const events = (await eventsIn(...files)).filter(({ userAgent }) => userAgent === agent);
    expect(events).toHaveLength(1500);
    expect(new Set(events.map(({ auditID }) => auditID)).size).toBe(1500);
  });

  it('is told to be impossible at start when its file cannot be opened', async () => {
    await expect(start(['--audit-log-path', '/nowhere/audit.log'])).rejects.toThrow('cannot open the audit log /nowhere/audit.log');
  });
});

describe.runIf(process.getuid?.() === 0)('the audit log on a full disk', () => {
  /** A file system of 256 KiB. */
  async function smallDisk(): Promise<string> {
    const dir = await folder();
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', dir]);
    closers.push(() => execFileSync('umount', ['-l', dir]));
    return dir;
  }

  async function fill(dir: string): Promise<void> {
    for (const size of [65_536, 4096, 1]) {
      for (let i = 0; ; i++) {
        try {
          await writeFile(path.join(dir, `filler-${size}-${i}`), Buffer.alloc(size));
        } catch {
          await rm(path.join(dir, `filler-${size}-${i}`), { force: true });
          break;
        }
        if (i > 300) break;
      }
    }
  }

  async function metric(coffer: CofferProcess): Promise<number> {
    const { text } = await coffer.call('GET', '/metrics');
    return Number(/^apiserver_audit_error_total\{plugin="log"\} (\d+)$/m.exec(text)?.[1] ?? 0);
  }

  // Metrics are left out, so that they can be read while everything else waits.
  const policyText = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, nonResourceURLs: ["*"]}
- {level: None, userGroups: ["system:serviceaccounts"]}
- {level: None, users: ["system:kube-scheduler"]}
- {level: Metadata}
`;

  it('holds requests until there is room again, and loses none (blocking)', async () => {
    const disk = await smallDisk();
    const policy = path.join(await folder(), 'policy.yaml');
    await writeFile(policy, policyText);
    const log = path.join(disk, 'audit.log');
    const coffer = await start(['--audit-log-path', log, '--audit-policy-file', policy]);
    await fill(disk);
    const agent = 'y'.repeat(1000);
    let answered = 0;
    const requests = Array.from({ length: 12 }, async () => {
      const answer = await coffer.call('GET', `${configMaps}/absent`, undefined, { 'user-agent': agent });
      answered++;
      return String(answer.headers['audit-id']);
    });
    await delay(1500);
    expect(answered).toBeLessThan(12);
    for (const file of await readdir(disk)) if (file.startsWith('filler-')) await rm(path.join(disk, file));
    const ids = await Promise.all(requests);
    const recorded = (await eventsIn(log)).map(({ auditID }) => auditID);
    expect(ids.filter((id) => !recorded.includes(id))).toEqual([]);
    expect(await metric(coffer)).toBe(0);
  });

  it('serves on and counts what is lost (batch)', async () => {
    const disk = await smallDisk();
    const policy = path.join(await folder(), 'policy.yaml');
    await writeFile(policy, policyText);
    const coffer = await start([
      '--audit-log-path',
      path.join(disk, 'audit.log'),
      '--audit-policy-file',
      policy,
      '--audit-log-mode',
      'batch',
    ]);
    await fill(disk);
    for (let i = 0; i < 30; i++) {
      const answer = await coffer.call('GET', `${configMaps}/absent`, undefined, { 'user-agent': 'z'.repeat(1000) });
      expect(answer.status).toBe(404);
    }
    expect(await eventually('lost events in the metric', () => metric(coffer))).toBeGreaterThan(0);
    // Every line that was written is whole; while the server runs one may be under way.
    await coffer.stop();
    await eventsIn(path.join(disk, 'audit.log'));
  });
});

describe('the audit webhook', () => {
  async function receiver(failures: number): Promise<{ readonly server: Server; readonly ids: string[]; readonly kubeconfig: string }> {
    const ids: string[] = [];
    let left = failures;
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        if (left-- > 0) {
          response.writeHead(503).end();
          return;
        }
        const list = JSON.parse(Buffer.concat(chunks).toString());
        for (const { auditID } of list.items) ids.push(auditID);
        response.writeHead(200).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(() => new Promise((resolve) => server.close(resolve)));
    const { port } = server.address() as AddressInfo;
    const kubeconfig = path.join(await folder(), 'webhook.yaml');
    const cluster = `clusters: [{name: w, cluster: {server: "http://127.0.0.1:${port}/audit"}}]`;
    await writeFile(
      kubeconfig,
      `apiVersion: v1\nkind: Config\n${cluster}\nusers: [{name: w, user: {}}]\ncontexts: [{name: w, context: {cluster: w, user: w}}]\ncurrent-context: w\n`,
    );
    return { server, ids, kubeconfig };
  }

  it('gets every event in batches, after failures too, and the rest at the end', async () => {
    const { ids, kubeconfig } = await receiver(2);
    const coffer = await start([
      ...['--audit-webhook-config-file', kubeconfig, '--audit-webhook-batch-max-wait', '200ms'],
      ...['--audit-webhook-initial-backoff', '50ms', '--audit-webhook-batch-max-size', '10'],
    ]);
    const sent: string[] = [];
    for (let i = 0; i < 25; i++) sent.push(String((await coffer.call('GET', `${configMaps}/absent`)).headers['audit-id']));
    await eventually('the first events', () => sent.slice(0, 10).every((id) => ids.includes(id)));
    sent.push(String((await coffer.call('GET', `${configMaps}/absent`)).headers['audit-id']));
    await coffer.stop();
    const missing = sent.flatMap((id, index) => (ids.includes(id) ? [] : [`event ${index}`]));
    expect(missing, coffer.output).toEqual([]);
  });
});
