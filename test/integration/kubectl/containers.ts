import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { eventually, freePort, runCommand } from '../../support/coffer-process.ts';
import { type KubectlSuite, words, workload } from './suite.ts';

const isRoot = process.getuid?.() === 0;

/** What reaches into containers: `logs`, `exec`, `attach`, `cp`, `port-forward`, `events`. */
export function describeContainers(suite: KubectlSuite): void {
  const { run, refused } = suite;

  describe('kubectl and containers', () => {
    const pod = `apiVersion: v1
kind: Pod
metadata: {name: talk, labels: {app: talk}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: first, image: busybox, stdin: true, command: [sh, -c, 'for i in 1 2 3 4 5; do echo line $i; done; exec cat']}
  - {name: second, image: busybox, command: [sh, -c, 'echo other; while :; do sleep 1; done']}
`;

    beforeAll(async () => {
      await run('apply -f -', pod);
      await run('wait --for=condition=Ready pod/talk --timeout=60s');
    });

    it('shows logs', async () => {
      expect(await run('logs talk -c first')).toBe('line 1\nline 2\nline 3\nline 4\nline 5');
      expect(await run('logs talk -c first --tail=2')).toBe('line 4\nline 5');
      expect(await run('logs talk --all-containers --prefix')).toContain('[pod/talk/second] other');
      expect(await run('logs -l app=talk -c second --since=1h --timestamps')).toMatch(/^\d{4}-\d\d-\d\dT\S+ other$/);
      expect(await run('logs talk')).toContain('line 1');
      expect(await refused('logs talk -c third')).toContain('container third is not valid for pod talk');
      expect(await refused('logs talk -c first --previous')).toContain('previous terminated container "first" in pod "talk" not found');
      const follow = spawn(suite.kubectl, [
        '--kubeconfig',
        suite.coffer.kubeconfig,
        '-n',
        suite.session.namespace,
        'logs',
        '-f',
        'talk',
        '-c',
        'first',
      ]);
      let seen = '';
      follow.stdout.on('data', (chunk: Buffer) => {
        seen += chunk.toString();
      });
      await eventually('the log so far', () => seen.includes('line 5'));
      // What is typed comes back from `cat`, in the attached stream and in the log.
      const attached = await suite.session.bash('(echo typed; sleep 1) | timeout 5 kubectl attach -i talk -c first');
      expect(attached.stdout).toContain('typed');
      await eventually('the followed line', () => seen.includes('typed'));
      follow.kill();
    });

    it('executes: output, exit codes, input, a terminal', async () => {
      expect(await suite.session.exec('talk', 'echo', 'hello')).toContain('hello');
      const failed = await suite.session.kubectl(['exec', 'talk', '-c', 'second', '--', 'sh', '-c', 'echo bad >&2; exit 7']);
      expect(failed).toMatchObject({ code: 7, stdout: '' });
      expect(failed.stderr).toContain('bad\ncommand terminated with exit code 7');
      expect(await suite.session.succeed(['exec', '-i', 'talk', '-c', 'second', '--', 'wc', '-c'], 'x'.repeat(100_000))).toContain(
        '100000',
      );
      const long = 'a'.repeat(20_000);
      expect(await suite.session.succeed(['exec', 'talk', '-c', 'second', '--', 'echo', long])).toBe(long);
      const terminal = await suite.session.bash(
        `script -qec "kubectl exec -it talk -c second -- sh -c 'test -t 0 && stty size && tty'" /dev/null`,
      );
      expect(terminal.stdout).toMatch(/\d+ \d+\s[\s\S]*\/dev\/pts\/\d+/);
      expect(await refused('exec talk -c none -- true')).toContain('container none is not valid for pod talk');
    });

    it('streams over SPDY, as older versions do', async () => {
      const older = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'false' };
      const failed = await suite.withEnv(words("exec talk -c second -- sh -c 'echo out; echo bad >&2; exit 7'"), older);
      expect(failed).toMatchObject({ code: 7, stdout: 'out\n' });
      expect(failed.stderr).toContain('bad\ncommand terminated with exit code 7');
      const count =
        "head -c 2000000 /dev/zero | KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false kubectl exec -i talk -c second -- sh -c 'cat | wc -c'";
      expect((await suite.session.bash(count)).stdout.trim()).toBe('2000000');
      const attach = '(echo spoken; sleep 1) | KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false timeout 5 kubectl attach -i talk -c first';
      expect((await suite.session.bash(attach)).stdout).toContain('spoken');
      const asked = await suite.withEnv(words('exec talk -c second -v=8 -- true'), older);
      expect(asked.stderr).toContain('SPDY/3.1');
    });

    it('copies files in and out', async () => {
      const file = await suite.session.file('in.txt', 'copied\n');
      await suite.session.succeed(['cp', file, 'talk:/tmp/copied.txt', '-c', 'second']);
      expect(await run('exec talk -c second -- cat /tmp/copied.txt')).toBe('copied');
      const back = path.join(suite.session.folder, 'back.txt');
      await suite.session.succeed(['cp', 'talk:/tmp/copied.txt', back, '-c', 'second']);
      expect(await readFile(back, 'utf8')).toBe('copied\n');
    });

    it.skipIf(!isRoot).each(['true', 'false'])('forwards ports, over WebSocket: %s', async (webSockets) => {
      const inside = await freePort();
      const outside = await freePort();
      const server = `while :; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\nforwarded' | busybox nc -l -p ${inside}; done`;
      const app = `server-${webSockets}`;
      await run('apply -f -', workload(app, server.replaceAll("'", "''")));
      const [name = ''] = await suite.session.readyPods(`app=${app}`, 1);
      const child = spawn(
        suite.kubectl,
        ['--kubeconfig', suite.coffer.kubeconfig, '-n', suite.session.namespace, 'port-forward', name, `${outside}:${inside}`],
        { env: { ...process.env, KUBECTL_PORT_FORWARD_WEBSOCKETS: webSockets } },
      );
      let output = '';
      child.stdout.on('data', (chunk: Buffer) => {
        output += chunk.toString();
      });
      await eventually('the forwarder', () => output.includes(`Forwarding from 127.0.0.1:${outside} -> ${inside}`));
      const body = await eventually('an answer', async () => {
        const { stdout } = await runCommand('curl', ['-s', '-m', '3', `http://127.0.0.1:${outside}/`]);
        return stdout.includes('forwarded') ? stdout : undefined;
      });
      child.kill();
      expect(body).toBe('forwarded');
    });

    it('shows events, and says that there are no metrics', async () => {
      expect(await run('events --for pod/talk')).toContain('Started');
      expect(await run('get events --field-selector involvedObject.name=talk,reason=Started')).toContain('talk');
      expect(await refused('top pods')).toContain('Metrics API not available');
    });
  });
}
