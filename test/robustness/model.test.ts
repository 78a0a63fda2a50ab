import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CofferProcess, delay } from '../support/coffer-process.ts';
import { damages } from './model/broken-histories.ts';
import { checkHistory } from './model/check-history.ts';
import { ModelClient, selectors } from './model/clients.ts';
import type { History, Operation, Watch } from './model/history.ts';
import { Watcher } from './model/watcher.ts';
import { pick } from './mutate.ts';
import { seededRandom } from './seeded-random.ts';

/**
 * Random requests of 8 clients that all work on a few objects, and watches that are cut and resumed. What they saw must be what one
 * linearizable store would show: linearizable writes and reads, lists of one revision, watches without gap or repetition.
 */
const full = process.env.COFFER_SOAK === '1';
const steps = full ? 3_000 : 150;
const clients = 8;
const seed = Number(process.env.COFFER_SEED ?? Date.now() % 1_000_000);
const names = ['m-0', 'm-1', 'm-2', 'm-3', 'm-4', 'm-5'];

/** Runs the clients against a fresh namespace and records all they saw. */
async function record(coffer: CofferProcess, namespace: string): Promise<History> {
  const random = seededRandom(seed);
  const created = await coffer.call('POST', '/api/v1/namespaces', { metadata: { name: namespace } });
  expect(created.status, created.text).toBe(201);
  const collection = `/api/v1/namespaces/${namespace}/configmaps`;
  const begin = Number((await coffer.call('GET', collection)).body.metadata.resourceVersion);
  const operations: Operation[] = [];
  const watchers: Watcher[] = [];
  const watch = (from: Watch['from'], mayCut = typeof from === 'number' || from === 'initial'): void => {
    const client = clients + watchers.length;
    const selector = watchers.length === 0 ? {} : pick(random, selectors);
    watchers.push(new Watcher({ coffer, namespace, client, from, selector, mayCut }));
  };
  watch(begin, false);

  let left = clients * steps;
  const work = async (client: number): Promise<void> => {
    const options = {
      coffer,
      namespace,
      names,
      client,
      random: seededRandom(seed + client + 1),
      record: (done: Operation) => operations.push(done),
    };
    const model = new ModelClient(options);
    for (let i = 0; i < steps; i++, left--) await model.step();
  };
  const working = Promise.all(Array.from({ length: clients }, (_, client) => work(client)));
  const watching = (async () => {
    const most = full ? 60 : 20;
    while (left > 0) {
      await delay(5 + random() * 40);
      const newest = operations.findLast((operation) => operation.kind === 'list')?.pages?.[0]?.revision;
      if (watchers.length < most && random() < 0.3) watch(pick(random, ['now', 'any', 'initial', newest ?? begin, begin]));
      else pick(random, watchers).cut();
      pick(random, watchers).cut();
    }
  })();
  await Promise.all([working, watching]);
  const end = await coffer.call('POST', collection, { metadata: { name: 'end', labels: { model: 'yes', even: 'true' } } });
  expect(end.status, end.text).toBe(201);
  await Promise.all(watchers.map((watcher) => watcher.stopAfter(Number(end.body.metadata.resourceVersion))));
  return { begin, operations, watches: watchers.map((watcher) => watcher.record), names: new Set(names) };
}

describe.each([
  { kept: 'everything', args: ['--history-retention', '2h'] },
  { kept: 'little history', args: ['--history-max-bytes', '65536'] },
])('8 clients at once, where the server keeps $kept', ({ kept, args }) => {
  let coffer: CofferProcess;
  let history: History | undefined;
  beforeAll(async () => {
    coffer = await CofferProcess.start({ args: ['--runtime', 'none', ...args] });
  });
  afterAll(() => coffer.dispose());

  it('see what one linearizable store would show', { timeout: full ? 1_200_000 : 180_000 }, async () => {
    history = await record(coffer, 'model');
    const { operations, watches } = history;
    const problems = checkHistory(history);
    expect(problems.slice(0, 5).join('\n'), `seed ${seed}: ${problems.length} problems`).toBe('');
    const expired = operations.filter((operation) => operation.kind === 'list' && operation.pages === undefined).length;
    if (kept === 'everything') expect(expired).toBe(0);
    else if (full) expect(expired).toBeGreaterThan(0);
    const events = watches.reduce((sum, watch) => sum + watch.events.length, 0);
    const resumes = watches.reduce((sum, watch) => sum + watch.resumes, 0);
    const expiredWatches = watches.filter(({ untilEnd }) => !untilEnd).length;
    console.log(
      `${operations.length} requests, ${watches.length} watches with ${resumes} resumes and ${events} events; ` +
        `${expired} lists and ${expiredWatches} watches expired (${kept}; seed ${seed}; COFFER_SOAK=1 sends ${clients * 3000})`,
    );
  });

  // A history is a history, wherever it comes from.
  const examined = kept === 'everything' ? Object.entries(damages) : [];
  it.each(examined)('are not believed when %s', (_, damage) => {
    if (history === undefined) expect.unreachable('nothing was recorded');
    expect(checkHistory(damage(history))).not.toEqual([]);
  });
});
