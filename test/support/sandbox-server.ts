/**
 * A process that runs the sandbox runtime and starts one container, for tests that kill it: prints the container's id and waits.
 * Arguments: state directory, log directory, script of the container.
 */
import { silentLogger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { podConfig, shellContainer } from '@coffer/cri/runtime/contract-fixtures';
import { createSandboxRuntime } from '@coffer/cri/sandbox/sandbox-runtime';

const [stateDir = '', logDirectory = '', script = ''] = process.argv.slice(2);
const runtime = await createSandboxRuntime({ stateDir, maskedPaths: [], clock: systemClock, logger: silentLogger });
const pod = await runtime.runPodSandbox(podConfig(logDirectory));
const id = await runtime.createContainer(pod, shellContainer('busybox', script, { attempt: 2 }));
await runtime.startContainer(id);
process.stdout.write(`${id}\n`);
setInterval(() => {}, 60_000);
