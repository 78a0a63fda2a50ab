import { systemClock } from '@coffer/base/time/clock';
import type { RotationProgress, RotationStep } from '@coffer/storage/rotation/rotation';
import type { ServerFlags } from './command.ts';
import { printJson, printLine, withServer } from './server-client.ts';

const pollMs = 200;
const stepTexts: Readonly<Record<Exclude<RotationStep, 'done'>, string>> = {
  1: 'the new key can be read by every API server',
  2: 'the new key is what they write with',
  3: 'write objects anew',
  4: 'compact, and replace the file of the store',
  5: 'remove the old key',
};

/** `coffer encryption rotate`: begins a rotation, or joins the one that is running, and shows it until it ends. */
export async function runRotate(flags: ServerFlags & { readonly rate: number }): Promise<void> {
  await withServer(flags, async (client) => {
    let progress = (await client.json({ method: 'POST', path: `/coffer/v1/encryption/rotate?rate=${flags.rate}` })) as RotationProgress;
    if (flags.output === 'text' && progress.resumed) printLine(`going on with the rotation of ${progress.startedAt}`);
    let shown = '';
    for (;;) {
      if (flags.output === 'text') shown = show(progress, shown);
      if (!progress.running) break;
      await systemClock.sleep(pollMs);
      const { rotation } = (await client.json({ method: 'GET', path: '/coffer/v1/encryption/rotate' })) as { rotation?: RotationProgress };
      if (rotation === undefined) throw new Error('the server was restarted: run the command again to go on');
      progress = rotation;
    }
    if (flags.output === 'json') printJson(progress);
    if (progress.error !== undefined) throw new Error(`the rotation stopped in step ${progress.step}: ${progress.error}`);
    if (flags.output === 'text') summarise(progress);
  });
}

/** Prints what has happened since `shown` (the last line): every step once, the third one with its progress. */
function show(progress: RotationProgress, shown: string): string {
  const reached = progress.step === 'done' ? 5 : progress.step;
  const last = Number(/^step (\d)/.exec(shown)?.[1] ?? (progress.resumed ? reached - 1 : 0));
  let line = shown;
  for (const step of [1, 2, 3, 4, 5] as const) {
    if (step > reached || step < last || (step === last && step !== 3)) continue;
    const counts = step === 3 && progress.total > 0 ? `: ${progress.written} of ${progress.total}` : '';
    const next = `step ${step} of 5: ${stepTexts[step]}${counts}`;
    if (next !== line) printLine(next);
    line = next;
  }
  return line;
}

function summarise({ written, exchange, newKeys, durationMs }: RotationProgress): void {
  printLine(`done in ${(durationMs / 1000).toFixed(1)} s: ${written} objects written anew, key ${newKeys.join(', ') || '(of the plugin)'}`);
  if (exchange !== undefined) {
    const mebibytes = (bytes: number) => (bytes / 1024 / 1024).toFixed(1);
    printLine(
      `the store's file was replaced: ${mebibytes(exchange.bytesBefore)} MiB before, ${mebibytes(exchange.bytesAfter)} MiB now, writes waited ${exchange.pausedMs} ms`,
    );
  }
}
