import type { Logger } from '@coffer/base/log/logger';

/** Why a process ends: `stop-pods` for Ctrl-C and `coffer down`, `leave-pods` for SIGTERM and for an error. */
export type Ending = 'stop-pods' | 'leave-pods';

/** Resolves when the process is to end; `keep` makes Ctrl-C leave the pods too. */
export function waitForSignal(keep: boolean, fatal: AbortSignal): Promise<Ending> {
  return new Promise((resolve) => {
    process.once('SIGTERM', () => resolve('leave-pods'));
    process.once('SIGHUP', () => resolve('leave-pods'));
    process.once('SIGUSR2', () => resolve('stop-pods'));
    process.once('SIGINT', () => resolve(keep ? 'leave-pods' : 'stop-pods'));
    if (fatal.aborted) resolve('leave-pods');
    fatal.addEventListener('abort', () => resolve('leave-pods'), { once: true });
  });
}

/** What a part calls that cannot go on: the process stops in good order, with status 1. */
export function stopOnFatal(stopping: AbortController, logger: Logger): (error: unknown) => void {
  return (error) => {
    logger.error('the server cannot go on', { err: error });
    process.exitCode = 1;
    stopping.abort();
  };
}

const startGraceMs = 5_000;

/**
 * What was started. A signal during the start lets it finish, so that what it has promised by then is kept; undefined when it has
 * not finished some seconds later.
 */
export function startedBefore<T>(ended: Promise<Ending>, starting: Promise<T>): Promise<T | undefined> {
  const givenUp = ended.then(() => new Promise<undefined>((resolve) => setTimeout(resolve, startGraceMs, undefined)));
  return Promise.race([starting, givenUp]);
}
