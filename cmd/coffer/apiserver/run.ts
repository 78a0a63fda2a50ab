import { makePrivateDirectory } from '@coffer/base/files/atomic-file';
import { createPinoLogger } from '@coffer/base/log/pino-logger';
import { hardenProcess } from '../config/harden-process.ts';
import { dataPaths } from '../config/paths.ts';
import { removePidFile, writePidFile } from '../config/pid-file.ts';
import type { ServerFlags } from '../config/server-flags.ts';
import { startedBefore, stopOnFatal, waitForSignal } from '../config/wait-for-signal.ts';
import { closeGraceMs, startServer } from '../wire/server.ts';

/** `coffer apiserver`: store → API server → listener, without loops and node; then waits for a signal. */
export async function runApiServer(flags: ServerFlags): Promise<void> {
  hardenProcess();
  const logger = createPinoLogger({ level: flags.logLevel });
  const paths = dataPaths(flags.dataDir);
  await makePrivateDirectory(paths.root);
  const stopping = new AbortController();
  const ended = waitForSignal(true, stopping.signal);
  const starting = startServer(flags, {
    paths,
    logger,
    podGateway: Promise.resolve(undefined),
    nodeApiFor: () => undefined,
    onFatal: stopOnFatal(stopping, logger),
  });
  const server = await startedBefore(ended, starting);
  if (!server) process.exit();
  await writePidFile(paths.pidFile);
  process.stdout.write(`coffer apiserver is ready: ${server.front.url}\n${server.encryptionSummary}\n`);
  await ended;
  await server.close(closeGraceMs);
  await removePidFile(paths.pidFile);
  process.exit();
}
