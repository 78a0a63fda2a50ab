import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resolveIdentity } from './users.ts';

describe('resolveIdentity', () => {
  let etc: string;
  const nobody = { runAsUser: undefined, runAsUserName: undefined, runAsGroup: undefined, supplementalGroups: [], strictGroups: false };

  beforeAll(async () => {
    etc = await mkdtemp('/tmp/users-');
    await writeFile(join(etc, 'passwd'), 'root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:Web:/srv/web:/bin/false\n');
    await writeFile(join(etc, 'group'), 'root:x:0:\nwww:x:34:\nlogs:x:40:web,root\nother:x:41:nobody\n');
  });
  afterAll(() => rm(etc, { recursive: true, force: true }));

  it('is root with its groups when nothing is asked for', async () => {
    expect(await resolveIdentity(nobody, etc)).toEqual({ uid: 0, gid: 0, groups: [0, 40], home: '/root' });
  });

  it('takes the group and groups of a known user, by number and by name', async () => {
    const web = { uid: 33, gid: 34, groups: [34, 40], home: '/srv/web' };
    expect(await resolveIdentity({ ...nobody, runAsUser: 33 }, etc)).toEqual(web);
    expect(await resolveIdentity({ ...nobody, runAsUserName: 'web' }, etc)).toEqual(web);
  });

  it('gives an unknown number group 0, and adds the groups asked for', async () => {
    expect(await resolveIdentity({ ...nobody, runAsUser: 5000, supplementalGroups: [7, 8] }, etc)).toEqual({
      uid: 5000,
      gid: 0,
      groups: [0, 7, 8],
      home: '/',
    });
    expect((await resolveIdentity({ ...nobody, runAsUser: 33, runAsGroup: 9 }, etc)).groups).toEqual([9, 40]);
  });

  it('adds nothing from the database to strict groups', async () => {
    const asked = { ...nobody, runAsUser: 33, supplementalGroups: [7], strictGroups: true };
    expect((await resolveIdentity(asked, etc)).groups).toEqual([34, 7]);
  });

  it('refuses a name that is not there', async () => {
    await expect(resolveIdentity({ ...nobody, runAsUserName: 'ghost' }, etc)).rejects.toThrow('unable to find user ghost');
  });
});
