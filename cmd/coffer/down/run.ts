import { dataPaths } from '../config/paths.ts';
import { readPidFile } from '../config/pid-file.ts';

const pollMs = 20;
const maxWaitMs = 30_000;

/** `coffer down`: asks the running server to stop its pods and end, and waits for it. */
export async function runDown(dataDir: string): Promise<void> {
  const paths = dataPaths(dataDir);
  const pid = await readPidFile(paths.pidFile);
  if (pid === undefined) {
    process.stdout.write(`no coffer runs on ${paths.root}\n`);
    return;
  }
  process.kill(pid, 'SIGUSR2');
  const deadline = performance.now() + maxWaitMs;
  while ((await readPidFile(paths.pidFile)) === pid) {
    if (performance.now() > deadline) throw new Error(`the server (process ${pid}) did not end within ${maxWaitMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  process.stdout.write('stopped\n');
}
