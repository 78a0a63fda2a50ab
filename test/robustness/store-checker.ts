import { createInterface } from 'node:readline';
import { openLmdbBackend } from '@coffer/storage/backend/lmdb';
import { Expectation } from './expectation.ts';

/**
 * Opens stores and checks them against what their writer had said: one JSON line `{directory, said}` in, one `{problems}` out.
 * A process of its own, because a store that was damaged on purpose may take its reader with it.
 */
for await (const line of createInterface({ input: process.stdin })) {
  const { directory, said } = JSON.parse(line) as { directory: string; said: string[] };
  const expectation = new Expectation();
  for (const one of said) expectation.note(one);
  let problems: string[];
  try {
    const backend = await openLmdbBackend({ directory });
    problems = await expectation.problems(backend, 1);
    const key = '/registry/configmaps/after/power-cut';
    if (!(await backend.create(key, Buffer.from('x'))).ok) problems.push('the store does not take a new key');
    await backend.close();
  } catch (error) {
    problems = [`the store cannot be read: ${error instanceof Error ? error.message : String(error)}`];
  }
  console.log(JSON.stringify({ problems }));
}
