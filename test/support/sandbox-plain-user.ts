/**
 * A process that uses the sandbox runtime as a plain user and prints what it saw as one JSON object. Argument: a directory of that
 * user. Run by a test, as another user.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { silentLogger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { bind, collectingStreams, exited, logText, podConfig, shellContainer } from '@coffer/cri/runtime/contract-fixtures';
import { createSandboxRuntime } from '@coffer/cri/sandbox/sandbox-runtime';

const [directory = ''] = process.argv.slice(2);
const runtime = await createSandboxRuntime({
  stateDir: join(directory, 'state'),
  maskedPaths: [join(directory, 'data')],
  clock: systemClock,
  logger: silentLogger,
  network: {},
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
  seen.limitations = (await runtime.status()).limitations;
  await runtime.removePodSandbox(pod);
} finally {
  await runtime.close();
}
process.stdout.write(JSON.stringify(seen));
