/** The streaming part of the container runtime contract: exec, attach and port-forward. */
import { describe, expect, it } from 'vitest';
import type { ContainerRuntime, PodSandboxConfig } from './container-runtime.ts';
import { type ContainerOverrides, collectingStreams, eventually, exited, logText } from './contract-fixtures.ts';

/** What the suite needs: the runtime as it is now, and a way to start a container that runs a script. */
export interface StreamContract {
  readonly runtime: () => ContainerRuntime;
  readonly start: (
    script: string,
    overrides?: ContainerOverrides,
  ) => Promise<{ readonly id: string; readonly log: string; readonly pod: { readonly id: string; readonly config: PodSandboxConfig } }>;
}

/** Registers the tests; called inside the suite of a runtime. */
export function describeContainerStreams({ runtime, start }: StreamContract): void {
  describe('exec', () => {
    it('runs in the container and returns output and exit status', async () => {
      const { id } = await start('sleep 100', {
        env: { 'a.b': 'value' },
        workingDir: '/tmp',
        security: { runAsUser: 1000, runAsGroup: 1001 },
      });
      const result = await runtime().execSync(
        id,
        ['sh', '-c', 'id -u; id -g; pwd; tr "\\0" "\\n" < /proc/$$/environ | grep ^a.b; echo err > /dev/stderr; exit 3'],
        10_000,
      );
      expect(Buffer.from(result.stdout).toString()).toBe('1000\n1001\n/tmp\na.b=value\n');
      expect(Buffer.from(result.stderr).toString()).toBe('err\n');
      expect(result).toMatchObject({ exitCode: 3, timedOut: false });
    });

    it('says so when the command does not exist, and when the container does not run', async () => {
      const { id } = await start('sleep 100');
      const missing = runtime().execSync(id, ['no-such-program'], 5_000);
      await expect(missing).rejects.toThrow('exec: "no-such-program": executable file not found in $PATH');
      await runtime().stopContainer(id, 0);
      await expect(runtime().execSync(id, ['true'], 5_000)).rejects.toThrow();
    });

    it('ends a command that takes too long', async () => {
      const { id } = await start('sleep 100');
      const started = Date.now();
      const result = await runtime()
        .execSync(id, ['sleep', '50'], 1_000)
        .catch((error: unknown) => error);
      expect(Date.now() - started).toBeLessThan(10_000);
      if (!(result instanceof Error)) expect(result).toMatchObject({ timedOut: true });
    });

    it('streams, and closes the input of the command when its own ends', async () => {
      const { id } = await start('sleep 100');
      const streams = collectingStreams(['one\n', 'two\n']);
      const code = await runtime().exec(
        id,
        { ...streams, command: ['sh', '-c', 'cat; echo done >&2; exit 4'] },
        new AbortController().signal,
      );
      expect(code).toBe(4);
      expect(streams.output).toEqual({ stdout: 'one\ntwo\n', stderr: 'done\n' });
    });

    it('carries a megabyte both ways', async () => {
      const { id } = await start('sleep 100');
      const block = 'x'.repeat(65_536);
      const streams = collectingStreams(Array.from({ length: 16 }, () => block));
      await runtime().exec(id, { ...streams, command: ['cat'] }, new AbortController().signal);
      expect(streams.output.stdout.length).toBe(1_048_576);
    });

    it('has a terminal with a size when asked', async () => {
      const { id } = await start('sleep 100');
      const open = new AbortController();
      const sizes = (async function* () {
        yield { width: 101, height: 37 };
      })();
      const streams = collectingStreams([], { tty: true, keepOpen: open.signal, resize: sizes });
      const script =
        'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ "$(stty size 2>/dev/null)" = "37 101" ] && break; sleep 0.05; done; stty size; test -t 0 && echo terminal';
      const code = await runtime().exec(id, { ...streams, command: ['sh', '-c', script] }, new AbortController().signal);
      open.abort();
      expect(code).toBe(0);
      expect(streams.output.stdout).toBe('37 101\r\nterminal\r\n');
    });

    it('ends when it is aborted', async () => {
      const { id } = await start('sleep 100');
      const abort = new AbortController();
      const running = runtime().exec(id, { ...collectingStreams(undefined), command: ['sleep', '90'] }, abort.signal);
      setTimeout(() => abort.abort(new Error('enough')), 100);
      await expect(running).rejects.toThrow('enough');
    });
  });

  describe('attach', () => {
    it('carries input and output, and ends the input after the first client when asked', async () => {
      const { id, log } = await start('while read line; do echo "got $line"; done; echo end', { stdin: true, stdinOnce: true });
      const streams = collectingStreams(['one\n', 'two\n']);
      await runtime().attach(id, streams, new AbortController().signal);
      expect((await exited(runtime(), id)).exitCode).toBe(0);
      expect(streams.output.stdout).toBe('got one\ngot two\nend\n');
      expect(await logText(log)).toBe('got one\ngot two\nend\n');
    });

    it('ends with the client’s input when the container’s input stays open', async () => {
      const { id, log } = await start('while read line; do echo "got $line"; done', { stdin: true });
      await runtime().attach(id, collectingStreams(['one\n']), new AbortController().signal);
      await runtime().attach(id, collectingStreams(['two\n']), new AbortController().signal);
      await eventually('both lines', async () => (await logText(log)) === 'got one\ngot two\n' || undefined);
    });

    it('reaches a container with a terminal', async () => {
      const { id } = await start('stty -echo; echo ready; read line; echo "got $line"; test -t 0 && echo terminal', {
        stdin: true,
        tty: true,
      });
      const open = new AbortController();
      const streams = collectingStreams(['word\n'], { tty: true, keepOpen: open.signal });
      await runtime().attach(id, streams, new AbortController().signal);
      open.abort();
      expect((await exited(runtime(), id)).exitCode).toBe(0);
      expect(streams.output.stdout).toContain('got word\r\nterminal\r\n');
    });
  });

  it('forwards a port of the pod', async () => {
    const server =
      'perl -MSocket -e \'socket(S,2,1,0);setsockopt(S,1,2,1);bind(S,pack_sockaddr_in(18080,inet_aton("127.0.0.1")))||die;listen(S,5);print "up\\n";$|=1;while(accept(C,S)){while(sysread(C,$b,9999)){$t.=$b}syswrite(C,"echo:$t");close C;$t=""}\'';
    const script = `if command -v perl >/dev/null; then ${server.replace('print "up\\n";$|=1;', '$|=1;print "up\\n";')}; else echo up; while :; do echo -n "echo:ping" | nc -l -p 18080; done; fi`;
    const { pod, log } = await start(script);
    await eventually('the server', async () => ((await logText(log)).includes('up') ? true : undefined));
    let received = '';
    const answer = await eventually('an answer', async () => {
      const stream = {
        input: (async function* () {
          yield Buffer.from('ping');
        })(),
        write: async (chunk: Uint8Array) => {
          received += Buffer.from(chunk).toString();
        },
        end: () => {},
      };
      await runtime()
        .portForward(pod.id, 18_080, stream, AbortSignal.timeout(10_000))
        .catch(() => {});
      return received === '' ? undefined : received;
    });
    expect(answer).toBe('echo:ping');
  });
}
