import { writeSync } from 'node:fs';
import { openLmdbBackend } from '@coffer/storage/backend/lmdb';

/**
 * Writes to a store with many writers at once until it is killed (or kills itself at a limit), and says so at once on standard output, one line each:
 *
 *   seen REVISION               a watcher was told about this revision
 *   ack KEY REVISION NUMBER     a write was acknowledged; NUMBER is in the value
 *   gone KEY REVISION           a deletion was acknowledged
 *   failed MESSAGE              a write was refused
 *
 * Arguments: directory, number of writers, bytes per value, and optionally `no-sync`, and a limit of writes.
 */
const [directory = '', writersText = '16', sizeText = '500', sync = 'sync', limitText = 'Infinity'] = process.argv.slice(2);
const size = Number(sizeText);
const limit = Number(limitText);
const say = (line: string) => writeSync(1, `${line}\n`);

const backend = await openLmdbBackend({ directory, unsafeNoSync: sync === 'no-sync' });
backend.subscribe(({ revision }) => say(`seen ${revision}`));
say(`open ${backend.revision}`);
let writes = 0;

async function run(writer: number): Promise<void> {
  // Each writer has a few keys of its own: it creates, updates and deletes them in turn.
  const revisions = new Map<string, number>();
  for (let i = 0; writes < limit; i++) {
    const number = ++writes;
    const key = `/registry/configmaps/w${writer}/k${i % 7}-${process.pid}`;
    const value = Buffer.from(`${number} `.padEnd(size, String.fromCharCode(97 + (number % 26))));
    const known = revisions.get(key);
    try {
      if (known !== undefined && i % 5 === 4) {
        const result = await backend.delete(key, known);
        if (!result.ok) throw new Error(`nobody else deletes ${key}`);
        revisions.delete(key);
        say(`gone ${key} ${result.revision}`);
      } else {
        const result = await (known === undefined ? backend.create(key, value) : backend.update(key, value, known));
        if (!result.ok) throw new Error(`nobody else writes ${key}`);
        revisions.set(key, result.revision);
        say(`ack ${key} ${result.revision} ${number}`);
      }
    } catch (error) {
      say(`failed ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
  }
}

await Promise.all(Array.from({ length: Number(writersText) }, (_, writer) => run(writer)));
say('done');
// No goodbye: nothing may be written or synced on the way out.
process.kill(process.pid, 'SIGKILL');
