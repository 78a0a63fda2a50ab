import type { ExecResult } from '@coffer/api/node/node-api';

/** How a command ended, as the Status that clients read from the error channel. */
export function execStatus(result: ExecResult, command: readonly string[]): Readonly<Record<string, unknown>> {
  if (result.kind === 'exited' && result.code === 0) return { metadata: {}, status: 'Success' };
  if (result.kind === 'exited') {
    return {
      metadata: {},
      status: 'Failure',
      message: `command terminated with non-zero exit code: error executing command [${command.join(' ')}], exit code ${result.code}`,
      reason: 'NonZeroExitCode',
      details: { causes: [{ reason: 'ExitCode', message: String(result.code) }] },
    };
  }
  const detail = `error executing command in container: ${result.message}`;
  return {
    metadata: {},
    status: 'Failure',
    message: `Internal error occurred: ${detail}`,
    reason: 'InternalError',
    details: { causes: [{ message: detail }] },
    code: 500,
  };
}
