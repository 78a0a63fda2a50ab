import { readFile } from 'node:fs/promises';
import type { Logger } from '../log/logger.ts';
import type { Clock } from '../time/clock.ts';

export interface FollowedFileOptions {
  readonly file: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Uses a changed text. Rejects with the reason why it must not be used: then what was in use stays, and the reason is logged once. */
  readonly use: (text: string) => Promise<void>;
  readonly pollMs?: number;
}

const defaultPollMs = 1000;

/** Looks at a file until the signal is aborted, and hands on every text that differs from the last one. `known` is in use already. */
export async function followFile(options: FollowedFileOptions, known: string, signal: AbortSignal): Promise<void> {
  const { file, clock, logger, use, pollMs = defaultPollMs } = options;
  let last = known;
  while (!signal.aborted) {
    await clock.sleep(pollMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    // A file that is just being replaced is there again the next time.
    const text = await readFile(file, 'utf8').catch(() => last);
    if (text === last) continue;
    last = text;
    try {
      await use(text);
      logger.info('a changed configuration file is in use', { file });
    } catch (error) {
      logger.error('a changed configuration file is not used', { file, err: error });
    }
  }
}
