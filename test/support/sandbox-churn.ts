/**
 * A process that makes, starts, uses, stops and removes pods of the sandbox runtime without end, several at a time, until it is killed.
 * Arguments: state directory, log directory.
 */
import { silentLogger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { podConfig, shellContainer } from '@coffer/cri/runtime/contract-fixtures';
import { createSandboxRuntime } from '@coffer/cri/sandbox/sandbox-runtime';

const [stateDir = '', logDirectory = ''] = process.argv.slice(2);
const runtime = await createSandboxRuntime({ stateDir, maskedPaths: [], clock: systemClock, logger: silentLogger, network: {} });
process.stdout.write('ready\n');

async function churn(worker: number): Promise<void> {
  for (let round = 0; ; round++) {
    const pod = await runtime.runPodSandbox(podConfig(logDirectory, { shareProcessNamespace: (worker + round) % 3 === 0 }));
    const id = await runtime.createContainer(pod, shellContainer('busybox', 'echo up; sleep 1000', { stdin: round % 2 === 0 }));
    await runtime.startContainer(id);
    await runtime.execSync(id, ['true'], 5_000);
    // Every third pod stays, for the next process to find.
    if (round % 3 !== 2) await runtime.removePodSandbox(pod);
  }
}

await Promise.all([0, 1, 2].map(churn));
