import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkHostPath } from './host-path.ts';

let dir = '';
const at = (name: string) => join(dir, name);
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'host-path-'));
  await mkdir(at('d'));
  await writeFile(at('f'), '');
  await symlink('d', at('link'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe('checkHostPath', () => {
  it.each([
    ['d', undefined],
    ['nothing', ''],
    ['d', 'Directory'],
    ['link', 'Directory'],
    ['d', 'DirectoryOrCreate'],
    ['f', 'File'],
    ['f', 'FileOrCreate'],
  ])('takes %s as %s', async (name, type) => {
    await expect(checkHostPath(at(name), type)).resolves.toBeUndefined();
  });

  it('tells devices and sockets from others', async () => {
    await checkHostPath('/dev/null', 'CharDevice');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(at('s'), resolve));
    await checkHostPath(at('s'), 'Socket');
    await expect(checkHostPath(at('s'), 'File')).rejects.toThrow(`hostPath type check failed: ${at('s')} is not a file, it's a Socket`);
    server.close();
    await expect(checkHostPath('/dev/null', 'BlockDevice')).rejects.toThrow("is not a block device, it's a CharDevice");
  });

  it.each([
    ['f', 'Directory', "hostPath type check failed: PATH is not a directory, it's a File"],
    ['f', 'DirectoryOrCreate', "hostPath type check failed: PATH is not a directory, it's a File"],
    ['d', 'FileOrCreate', "hostPath type check failed: PATH is not a file, it's a Directory"],
    ['d', 'Socket', "hostPath type check failed: PATH is not a socket file, it's a Directory"],
    ['d', 'CharDevice', "hostPath type check failed: PATH is not a character device, it's a Directory"],
    ['nothing', 'Directory', "hostPath PATH doesn't exist"],
    ['nothing', 'BlockDevice', "hostPath PATH doesn't exist"],
    ['d', 'Other', 'Other is an invalid volume type'],
    ['none/f', 'FileOrCreate', 'open PATH: no such file or directory'],
    ['f/d', 'DirectoryOrCreate', 'mkdir PATH: not a directory'],
  ])('refuses %s as %s', async (name, type, message) => {
    await expect(checkHostPath(at(name), type)).rejects.toThrow(message.replace('PATH', at(name)));
  });

  it('says what it cannot name', async () => {
    execFileSync('sh', ['-c', 'mkfifo "$0"', at('pipe')]);
    await expect(checkHostPath(at('pipe'), 'File')).rejects.toThrow('is not a file, unable to determine its type: only recognise file');
  });

  it('makes directories and files that are not there', async () => {
    await checkHostPath(at('new/er'), 'DirectoryOrCreate');
    expect((await stat(at('new/er'))).isDirectory()).toBe(true);
    await checkHostPath(at('new/file'), 'FileOrCreate');
    expect((await stat(at('new/file'))).isFile()).toBe(true);
  });
});
