/**
 * A process that uses the sandbox runtime as a plain user and prints what it saw as one JSON object. Arguments: a directory of that
 * user, and the tool that may connect pods. Run by a test, as another user.
 */
import { mkdir, readlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { silentLogger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { bind, collectingStreams, eventually, exited, logText, podConfig, shellContainer } from '@coffer/cri/runtime/contract-fixtures';
import { createSandboxRuntime } from '@coffer/cri/sandbox/sandbox-runtime';

const [directory = '', tool] = process.argv.slice(2);
const runtime = await createSandboxRuntime({
  stateDir: join(directory, 'state'),
  maskedPaths: [join(directory, 'data')],
  clock: systemClock,
  logger: silentLogger,
  network: tool === 'pasta' || tool === 'slirp4netns' ? { tool } : {},
});
const seen: Record<string, unknown> = {};
try {
  await mkdir(join(directory, 'volume'));
  await writeFile(join(directory, 'volume/file'), 'from the volume\n');
  const config = podConfig(join(directory, 'logs'));
  const pod = await runtime.runPodSandbox(config);
  const run = async (name: string, script: string, overrides: Parameters<typeof shellContainer>[2] = {}): Promise<string> => {
    const id = await runtime.createContainer(pod, shellContainer('busybox', script, { name, logPath: `${name}.log`, ...overrides }));
    await runtime.startContainer(id);
    const { exitCode } = await exited(runtime, id);
    return `${await logText(join(config.logDirectory, `${name}.log`))}exit ${exitCode}`;
  };
  seen.identity = await run('identity', 'id -u; id -g; echo $$; hostname; exit 3');
  seen.environment = await run('environment', 'tr "\\0" "\\n" < /proc/$$/environ | grep ^a.b', { env: { 'a.b': 'x' } });
  seen.files = await run(
    'files',
    'cat /etc/app/file; touch /etc/app/new 2>&1 | grep -o Read-only; echo x > /etc/made && cat /etc/made; ls /root /home /run',
    {
      mounts: [bind(join(directory, 'volume'), '/etc/app', true)],
    },
  );
  seen.masked = await run(
    'masked',
    `ls ${join(directory, 'data')} 2>/dev/null || echo absent; cat /etc/shadow 2>/dev/null || echo absent; ls -d /proc/[0-9]* | wc -l`,
  );
  seen.devices = await run(
    'devices',
    'echo x > /dev/null && head -c 4 /dev/zero | wc -c; echo y > /dev/shm/f; cat /dev/shm/f; find /dev -type b',
  );
  const server = await runtime.createContainer(
    pod,
    shellContainer('busybox', 'sleep 1000', { name: 'server', logPath: 'server.log', env: { A: 'b' } }),
  );
  await runtime.startContainer(server);
  const result = await runtime.execSync(server, ['sh', '-c', 'id -u; echo $A; exit 4'], 5_000);
  seen.exec = `${Buffer.from(result.stdout).toString()}exit ${result.exitCode}`;
  const streams = collectingStreams([], { tty: true });
  seen.terminal = await runtime.exec(server, { ...streams, command: ['test', '-t', '0'] }, new AbortController().signal);
  const refusal = (promise: Promise<unknown>) => promise.then(() => 'accepted').catch((error: unknown) => String(error));
  seen.user = await refusal(runtime.createContainer(pod, shellContainer('busybox', '', { security: { runAsUser: 1000 } })));
  seen.hostPid = await refusal(runtime.runPodSandbox(podConfig(join(directory, 'logs'), { hostPid: true })));
  const startServer = async (word: string) => {
    const config = podConfig(join(directory, 'logs'));
    const sandbox = await runtime.runPodSandbox(config);
    const script = `mkdir /dev/shm/${word}; echo ${word} > /dev/shm/${word}/index.html; exec busybox httpd -f -p 8080 -h /dev/shm/${word}`;
    const container = await runtime.createContainer(sandbox, shellContainer('busybox', script));
    await runtime.startContainer(container);
    const [ip = ''] = (await runtime.podSandboxStatus(sandbox))?.ips ?? [];
    return { sandbox, container, ip };
  };
  const dial = async ({ sandbox, ip }: { sandbox: string; ip: string }, port: number) => {
    const connection = await runtime.dialPod?.(sandbox, ip, port, AbortSignal.timeout(40_000));
    if (!connection) throw new Error('the runtime does not connect to pods');
    connection.write('GET / HTTP/1.0\r\n\r\n');
    let text = '';
    for await (const chunk of connection) text += chunk;
    return text.split('\r\n\r\n').at(-1)?.trim();
  };
  const servers = [await startServer('one'), await startServer('two')] as const;
  const answers = servers.map((pod) =>
    eventually('the server to answer', () =>
      dial(pod, 8080).catch((error) => (error.code === 'ECONNREFUSED' ? undefined : Promise.reject(error))),
    ),
  );
  seen.servers = await Promise.all(answers);
  seen.addresses = new Set(servers.map(({ ip }) => ip)).size;
  seen.closedPort = await dial(servers[0], 8081).catch(({ code }) => code);
  let forwarded = '';
  const stream = {
    input: (async function* () {
      yield Buffer.from('GET / HTTP/1.0\r\n\r\n');
    })(),
    write: async (chunk: Uint8Array) => {
      forwarded += Buffer.from(chunk).toString();
    },
    end: () => {},
  };
  await runtime.portForward(servers[1].sandbox, 8080, stream, AbortSignal.timeout(40_000));
  seen.forwarded = forwarded.split('\r\n\r\n').at(-1);
  const outside = createServer((_, response) => response.end('from the machine'));
  await new Promise<void>((resolve) => outside.listen(0, '127.0.0.1', resolve));
  const address = outside.address();
  if (runtime.loopbackGateway !== undefined) {
    const url = `http://${runtime.loopbackGateway}:${typeof address === 'object' && address?.port}/`;
    const program = `fetch('${url}').then((answer) => answer.text()).then((text) => process.stdout.write(text))`;
    const fetched = await runtime.execSync(servers[0].container, [process.execPath, '-e', program], 20_000);
    seen.fetched = Buffer.concat([fetched.stdout, fetched.stderr]).toString();
  }
  outside.close();
  const network = async (overrides: Parameters<typeof podConfig>[1]) => {
    const config = podConfig(join(directory, 'logs'), overrides);
    const sandbox = await runtime.runPodSandbox(config);
    const id = await runtime.createContainer(sandbox, shellContainer('busybox', 'readlink /proc/self/ns/net'));
    await runtime.startContainer(id);
    await exited(runtime, id);
    return (await logText(join(config.logDirectory, 'main/0.log'))).trim() === (await readlink('/proc/self/ns/net'));
  };
  seen.hostNetwork = [await network({ hostNetwork: true }), await network({})];
  seen.limitations = (await runtime.status()).limitations;
  for (const { id } of await runtime.listPodSandboxes()) await runtime.removePodSandbox(id);
} finally {
  await runtime.close();
}
process.stdout.write(JSON.stringify(seen));
