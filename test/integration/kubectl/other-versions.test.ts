import path from 'node:path';
import { it } from 'vitest';
import { unpackDebianPackages } from '../../support/debian-packages.ts';
import { describeKubectl } from './suite.ts';

// The newest and the oldest kubectl that Coffer is made for, from newer suites of Debian. The oldest only in long runs.
const versions = [{ version: '1.36', suite: 'sid' }, ...(process.env.COFFER_SOAK === '1' ? [{ version: '1.32', suite: 'trixie' }] : [])];

for (const { version, suite } of versions) {
  try {
    const root = await unpackDebianPackages(`kubectl-${suite}`, ['kubectl'], { suite });
    describeKubectl(version, path.join(root, 'usr/bin/kubectl'));
  } catch (error) {
    console.log(`kubectl ${version} is not to be had here: ${error instanceof Error ? error.message : String(error)}`);
    it.skip(`kubectl ${version}`);
  }
}
