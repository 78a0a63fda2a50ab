import { lstatSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, CofferProcess, eventually } from '../support/coffer-process.ts';

// What a node promises about the configuration in running containers, on the built server and the sandbox runtime.

const soak = process.env.COFFER_SOAK === '1';
const manyPods = soak ? 500 : 50;
const api = '/api/v1/namespaces/default';
const merge = { 'content-type': 'application/merge-patch+json' };

let coffer: CofferProcess;
const args = ['--runtime', 'sandbox', '--max-pods', '600'];

beforeAll(async () => {
  coffer = await CofferProcess.start({ args });
  await eventually('the default account', async () => (await coffer.call('GET', `${api}/serviceaccounts/default`)).status === 200);
});

afterAll(() => coffer.dispose());

async function done(answer: Promise<Answer>): Promise<Answer['body']> {
  const { status, body, text } = await answer;
  if (status >= 300) throw new Error(`the server answered ${status}: ${text}`);
  return body;
}

const configMap = (name: string, data: Record<string, string>) =>
  done(coffer.call('POST', `${api}/configmaps`, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data }));
const change = (name: string, data: Record<string, string>) => done(coffer.call('PATCH', `${api}/configmaps/${name}`, { data }, merge));

interface PodWish {
  readonly script: string;
  readonly volumes?: Readonly<Record<string, object>>;
  readonly env?: readonly object[];
}

function pod(name: string, { script, volumes = {}, env = [] }: PodWish): Promise<{ metadata: { uid: string } }> {
  const names = Object.keys(volumes);
  const spec = {
    terminationGracePeriodSeconds: 0,
    automountServiceAccountToken: false,
    containers: [
      {
        name: 'c',
        image: 'busybox',
        command: ['sh', '-c', script],
        env,
        volumeMounts: names.map((v) => ({ name: v, mountPath: `/v/${v}` })),
      },
    ],
    volumes: names.map((v) => ({ name: v, ...volumes[v] })),
  };
  return done(coffer.call('POST', `${api}/pods`, { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec }));
}

const running = (name: string) =>
  eventually(
    `pod ${name} to run`,
    async () => (await done(coffer.call('GET', `${api}/pods/${name}`))).status.phase === 'Running' || undefined,
    60_000,
  );

const log = async (name: string) => (await coffer.call('GET', `${api}/pods/${name}/log`)).text;

const volumeOf = (uid: string, name: string) => path.join(coffer.dataDir, 'kubelet/pods', uid, 'volumes/kubernetes.io~configmap', name);

describe('a node', () => {
  it('starts five pods with fifty ConfigMap volumes each, every file the right one', { timeout: 120_000 }, async () => {
    const numbers = Array.from({ length: 50 }, (_, i) => i);
    await Promise.all(numbers.map((i) => configMap(`many-${i}`, { k: `value ${i}` })));
    const volumes = Object.fromEntries(numbers.map((i) => [`v${i}`, { configMap: { name: `many-${i}` } }]));
    const script = 'i=0; while [ $i -lt 50 ]; do cat /v/v$i/k; echo; i=$((i+1)); done; echo end; sleep 1000';
    const names = [1, 2, 3, 4, 5].map((i) => `fifty-${i}`);
    await Promise.all(names.map((name) => pod(name, { script, volumes })));
    const expected = [...numbers.map((i) => `value ${i}`), 'end', ''].join('\n');
    for (const name of names) {
      await running(name);
      expect(await eventually(`the log of ${name}`, async () => (await log(name)).includes('end') && log(name))).toBe(expected);
    }
    const events = (await done(coffer.call('GET', `${api}/events`))).items as { type: string; reason: string; message: string }[];
    expect(events.filter((event) => event.type === 'Warning' && event.reason !== 'RuntimeLimitation')).toEqual([]);
  });

  it(`brings a change to all of ${manyPods} pods (500 with COFFER_SOAK=1)`, { timeout: soak ? 600_000 : 120_000 }, async () => {
    await configMap('shared', { k: 'first' });
    const names = Array.from({ length: manyPods }, (_, i) => `reader-${i}`);
    const volumes = { shared: { configMap: { name: 'shared' } } };
    const pods = await Promise.all(names.map((name) => pod(name, { script: 'sleep 1000', volumes })));
    for (const name of names) await running(name);
    const directories = pods.map((created) => volumeOf(created.metadata.uid, 'shared'));
    for (const value of ['second', 'third']) {
      const startedMs = Date.now();
      await change('shared', { k: value });
      await eventually(
        `${value} in every pod`,
        async () => directories.every((d) => readFileSync(path.join(d, 'k'), 'utf8') === value),
        30_000,
      );
      const took = directories.map((d) => lstatSync(path.join(d, '..data')).ctimeMs - startedMs).sort((a, b) => a - b);
      console.log(`${manyPods} pods have the change, the last of them after ${took.at(-1)?.toFixed(0)} ms`);
    }
  });

  it('shows one whole version to a reader that resolves ..data once, and no torn or empty file by path', { timeout: 60_000 }, async () => {
    const version = (i: number) => ({ a: `${i % 10}`.repeat(300), b: `${i % 10}`.repeat(300) });
    await configMap('whole', version(0));
    // Nearly all of it builtins of the shell, so that there are many looks between two updates.
    const looks = [
      'cd -P /v/whole/..data; a=; b=; read -r a < a; read -r b < b; cd /',
      '[ "$a" = "$b" ] && [ "$a" ] || echo "mixed <$a> <$b>"',
      'c=; read -r c < /v/whole/a; [ "$(expr length "$c")" = 300 ] || echo "torn <$c>"',
      'n=$((n+1))',
    ];
    const script = `n=0; while [ ! -e /v/stop/k ]; do ${looks.join('; ')}; done 2>&1; echo "looks $n"; sleep 1000`;
    await pod('looker', {
      script,
      volumes: { whole: { configMap: { name: 'whole' } }, stop: { configMap: { name: 'stop', optional: true } } },
    });
    await running('looker');
    for (let i = 1; i <= 40; i++) await change('whole', version(i));
    await configMap('stop', { k: '' });
    const text = await eventually('the reader to end', async () => ((await log('looker')).includes('looks') ? log('looker') : undefined));
    expect(text).toMatch(/^looks \d+\n$/);
    expect(Number(text.slice(6))).toBeGreaterThan(20);
  });

  it('ends at the last of many quick changes of both sources of a volume', { timeout: 60_000 }, async () => {
    await configMap('left', { l: '0' });
    await configMap('right', { r: '0' });
    const sources = [{ configMap: { name: 'left' } }, { configMap: { name: 'right' } }];
    const { metadata } = await pod('both', { script: 'sleep 1000', volumes: { both: { projected: { sources } } } });
    await running('both');
    for (let i = 1; i <= 30; i++) await Promise.all([change('left', { l: `${i}` }), change('right', { r: `${i}` })]);
    const directory = path.join(coffer.dataDir, 'kubelet/pods', metadata.uid, 'volumes/kubernetes.io~projected/both');
    await eventually('both files', async () => ['l', 'r'].every((name) => readFileSync(path.join(directory, name), 'utf8') === '30'));
  });

  it('starts a container, and starts it again, with what the API had when the pod was bound, or newer', { timeout: 120_000 }, async () => {
    await configMap('fresh', { k: '0' });
    const env = [{ name: 'K', valueFrom: { configMapKeyRef: { name: 'fresh', key: 'k' } } }];
    for (let i = 1; i <= 8; i++) {
      await change('fresh', { k: `${i}` });
      await pod(`fresh-${i}`, { script: 'echo "has $K"; sleep 1000', env });
      const text = await eventually('the first line', async () =>
        (await log(`fresh-${i}`)).includes('has') ? log(`fresh-${i}`) : undefined,
      );
      expect(text).toBe(`has ${i}\n`);
    }
    // Ends as soon as it sees the change in the file; the next instance then has to know it, too.
    const script = 'echo "has $K"; while read -r v < /v/fresh/k || [ "$v" ]; do [ "$v" = 9 ] && [ "$K" != 9 ] && exit 1; sleep 0.02; done';
    await pod('again', { script, env, volumes: { fresh: { configMap: { name: 'fresh' } } } });
    await running('again');
    await change('fresh', { k: '9' });
    const text = await eventually(
      'the next instance',
      async () => {
        const { status } = await done(coffer.call('GET', `${api}/pods/again`));
        const now = await log('again');
        return status.containerStatuses[0].restartCount > 0 && status.containerStatuses[0].state.running && now.includes('has')
          ? now
          : undefined;
      },
      30_000,
    );
    expect(text).toBe('has 9\n');
  });

  it('goes on where it was killed in the midst of updates', { timeout: 120_000 }, async () => {
    await configMap('survivor', { k: '0' });
    const { metadata } = await pod('survivor', { script: 'sleep 1000', volumes: { survivor: { configMap: { name: 'survivor' } } } });
    await running('survivor');
    for (let i = 1; i <= 3; i++) {
      let acknowledged = 0;
      const updates = (async () => {
        for (let n = 1; ; n++) {
          await change('survivor', { k: `${i}.${n}` });
          acknowledged = n;
        }
      })().catch(() => {});
      await eventually('some updates', async () => acknowledged >= 5);
      await coffer.stop('SIGKILL');
      await updates;
      coffer = await CofferProcess.start({ args, dataDir: coffer.dataDir, port: coffer.port });
      const stored = (await done(coffer.call('GET', `${api}/configmaps/survivor`))).data.k;
      const file = path.join(volumeOf(metadata.uid, 'survivor'), 'k');
      await eventually(`${stored} in the file`, async () => readFileSync(file, 'utf8') === stored);
    }
  });
});
