import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMounter } from './mounter.ts';
import { prepareSubPath, refuseUnsafe, removeSubPaths, SubPathNotMade } from './sub-path.ts';

const mounter = createMounter();
let dir = '';
let volume = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'subpath-'));
  volume = join(dir, 'volume');
  await mkdir(volume);
  await writeFile(join(dir, 'outside'), 'secret');
});
afterEach(async () => {
  await removeSubPaths(mounter, join(dir, 'targets'));
  await rm(dir, { recursive: true, force: true });
});

function prepare(subPath: string, name = 't'): Promise<string> {
  return prepareSubPath(mounter, { volumePath: volume, subPath, target: join(dir, 'targets', name) });
}

describe('refuseUnsafe', () => {
  it.each([
    ['/tmp', 'error SubPath `/tmp` must not be an absolute path'],
    ['a/../b', "unable to provision SubPath `a/../b`: must not contain '..'"],
  ])('refuses %s', (path, message) => {
    expect(() => refuseUnsafe(path)).toThrow(message);
  });
});

describe('prepareSubPath', () => {
  it('hands out a file and a directory of the volume', async () => {
    await mkdir(join(volume, 'd'));
    await writeFile(join(volume, 'd/f'), 'x');
    expect(await readFile(await prepare('d/f'), 'utf8')).toBe('x');
    expect((await stat(await prepare('d', 'u'))).isDirectory()).toBe(true);
  });

  it('makes a missing directory with the mode of the volume', async () => {
    await chmod(volume, 0o2777);
    const path = await prepare('new/er');
    expect((await stat(join(volume, 'new/er'))).mode).toBe((await stat(volume)).mode);
    await writeFile(join(path, 'f'), 'through');
    expect(await readFile(join(volume, 'new/er/f'), 'utf8')).toBe('through');
  });

  it('follows links that stay inside, as projected volumes have them', async () => {
    await mkdir(join(volume, '..ts'));
    await writeFile(join(volume, '..ts/a'), 'data');
    await symlink('..ts', join(volume, '..data'));
    await symlink('..data/a', join(volume, 'a'));
    expect(await readFile(await prepare('a'), 'utf8')).toBe('data');
  });

  it.each([
    ['../outside', "must not contain '..'"],
    ['a/../../outside', "must not contain '..'"],
    ['/etc', 'must not be an absolute path'],
    ['link', 'not within volume path'],
    ['dirlink/outside', 'not within volume path'],
  ])('refuses %s', async (subPath, message) => {
    await symlink(join(dir, 'outside'), join(volume, 'link'));
    await symlink(dir, join(volume, 'dirlink'));
    await expect(prepare(subPath)).rejects.toThrow(message);
    await expect(stat(join(dir, 'new'))).rejects.toThrow('ENOENT');
  });

  it.each(['dirlink/new', 'nowhere'])('makes nothing outside for %s, and says that it could not', async (subPath) => {
    await symlink(dir, join(volume, 'dirlink'));
    await symlink(join(dir, 'new'), join(volume, 'nowhere'));
    await expect(prepare(subPath)).rejects.toThrow(SubPathNotMade);
    await expect(stat(join(dir, 'new'))).rejects.toThrow('ENOENT');
  });

  it.runIf(mounter.canMount)('keeps the old file when the volume changes afterwards', async () => {
    await writeFile(join(volume, 'f'), 'old');
    const path = await prepare('f');
    await rm(join(volume, 'f'));
    await writeFile(join(volume, 'f'), 'new');
    expect(await readFile(path, 'utf8')).toBe('old');
  });
});
