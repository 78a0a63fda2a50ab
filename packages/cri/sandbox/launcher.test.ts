import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { launchScript } from './launch-script.ts';
import { Launcher } from './launcher.ts';

const mkfifo = (path: string) => promisify(execFile)('mkfifo', [path]);
const script = launchScript(process.arch);

describe.skipIf(script === undefined || process.platform !== 'linux')('Launcher', () => {
  let directory: string;
  let launcher: Launcher;

  beforeEach(async () => {
    directory = await mkdtemp('/tmp/launcher-');
    const program = join(directory, 'launch.pl');
    await writeFile(program, script ?? '');
    launcher = new Launcher(program);
  });
  afterEach(async () => {
    launcher.close();
    await rm(directory, { recursive: true, force: true });
  });

  const at = (name: string) => join(directory, name);

  it('carries out instructions in order, whatever bytes they hold', async () => {
    await launcher.run([
      ['mkdir', at('a/b'), '700'],
      ['file', at('a/b/text.new'), '640', 'ä\n1 2 3\n'],
      ['rename', at('a/b/text.new'), at('a/b/text')],
      ['binary_file', at('a/b/bytes'), '600', '00ff0a00'],
    ]);
    expect(await readFile(at('a/b/text'), 'utf8')).toBe('ä\n1 2 3\n');
    expect((await readFile(at('a/b/bytes'))).toString('hex')).toBe('00ff0a00');
  });

  it('says which instruction failed and why, and leaves out those after it', async () => {
    const failing = launcher.run([
      ['write', at('missing'), 'x'],
      ['file', at('after'), '600', ''],
    ]);
    await expect(failing).rejects.toThrow(`write ${at('missing')} x: no such file or directory`);
    await expect(readFile(at('after'))).rejects.toThrow('ENOENT');
  });

  it('answers many requests at once, each with its own result', async () => {
    const results = await Promise.allSettled(
      Array.from({ length: 40 }, (_, index) =>
        launcher.run(index % 4 === 3 ? [['write', at(`no-${index}`), 'x']] : [['file', at(`${index}`), '600', 'y'.repeat(index * 1000)]]),
      ),
    );
    expect(results.map(({ status }) => status)).toEqual(results.map((_, index) => (index % 4 === 3 ? 'rejected' : 'fulfilled')));
    for (const index of [0, 17, 38]) expect((await readFile(at(String(index)))).length).toBe(index * 1000);
  });

  const shell = (script: string) => launcher.exec([['report_errors'], ['env', 'PATH=/usr/bin:/bin'], ['exec', 'sh', '-c', script]]);

  it('runs commands side by side and keeps their outputs apart', async () => {
    const commands = Array.from({ length: 20 }, (_, index) =>
      shell(`head -c ${index * 20_000} /dev/zero; echo err ${index} >&2; exit ${index}`),
    );
    for (const [index, command] of commands.entries()) {
      const { exitCode, failure, stdout, stderr } = await command.ended;
      expect([exitCode, failure, stdout.length, String(stderr)]).toEqual([index, '', index * 20_000, `err ${index}\n`]);
    }
  });

  it('cuts long output, and says why a command could not start', async () => {
    expect((await shell('head -c 17000000 /dev/zero').ended).stdout.length).toBe(16 * 1024 * 1024);
    const missing = await launcher.exec([['report_errors'], ['env', 'PATH=/usr/bin:/bin'], ['exec', 'no-such-program']]).ended;
    expect(missing).toMatchObject({ exitCode: 128, failure: 'exec: "no-such-program": executable file not found in $PATH' });
  });

  it('kills a command that is to end, and its own commands when it ends', async () => {
    const slow = shell('echo begun; exec sleep 100');
    slow.kill();
    expect((await slow.ended).exitCode).toBe(143);
    await mkfifo(at('gate'));
    const abandoned = shell(`exec 9> '${at('gate')}'; echo begun >&9; exec sleep 100`);
    // The pipe ends when nobody has it open any more.
    const reading = createReadStream(at('gate'), 'utf8');
    expect(await new Promise((resolve) => reading.once('data', resolve))).toBe('begun\n');
    const closed = once(reading, 'end');
    launcher.close();
    await expect(abandoned.ended).rejects.toThrow('the launch program has ended');
    await closed;
  });

  it('waits for what was asked of a process before it', async () => {
    const successor = new Launcher(join(directory, 'launch.pl'));
    try {
      await mkfifo(at('gate'));
      const asked = launcher
        .run([
          ['write', at('gate'), 'x'],
          ['file', at('late'), '600', ''],
        ])
        .catch(() => {});
      await launcher.run([['file', at('begun'), '600', '']]);
      launcher.close();
      let ready = false;
      const waiting = successor.ready().then(() => {
        ready = existsSync(at('late'));
      });
      await readFile(at('gate'));
      await asked;
      await waiting;
      expect(ready).toBe(true);
    } finally {
      successor.close();
    }
  });

  it('starts again when its process has ended', async () => {
    const ending = launcher.run([['file', at('one'), '600', '']]);
    launcher.close();
    await ending.catch(() => {});
    await expect
      .poll(() =>
        launcher.run([['file', at('two'), '600', '']]).then(
          () => 'done',
          () => 'not yet',
        ),
      )
      .toBe('done');
  });
});
