import type { Writable } from 'node:stream';

/** Resolves when the stream takes more; rejects with the signal's reason when that comes first. */
export function drained(stream: Writable, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    stream.once('drain', () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
  });
}
