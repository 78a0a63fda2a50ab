/** How a command of an exec or attach session ended: as clients read it from the error channel, and back. */

/** Exit code of the command, or the reason why it could not be run. */
export type CommandResult = { readonly kind: 'exited'; readonly code: number } | { readonly kind: 'failed'; readonly message: string };

const failures = { exec: 'error executing command in container', attach: 'error attaching to container' } as const;
const failurePrefix = new RegExp(`^(Internal error occurred: )?(${Object.values(failures).join('|')}): `);

/** The Status for the error channel. An attachment that ends is a success, however the container ended. */
export function commandStatus(
  kind: 'exec' | 'attach',
  result: CommandResult,
  command: readonly string[],
): SentStatus & Readonly<Record<string, unknown>> {
  if (result.kind === 'failed') {
    const detail = `${failures[kind]}: ${result.message}`;
    return {
      metadata: {},
      status: 'Failure',
      message: `Internal error occurred: ${detail}`,
      reason: 'InternalError',
      details: { causes: [{ message: detail }] },
      code: 500,
    };
  }
  if (result.code === 0 || kind === 'attach') return { metadata: {}, status: 'Success' };
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: error executing command [${command.join(' ')}], exit code ${result.code}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(result.code) }] },
  };
}

/** What the error channel said; nothing at all means success. Text that is no Status is the reason of a failure. */
export function readCommandStatus(text: string): CommandResult {
  if (text === '') return { kind: 'exited', code: 0 };
  const failed = { kind: 'failed', message: text } as const;
  try {
    const { status, reason, message, details } = JSON.parse(text) as SentStatus;
    if (status === 'Success') return { kind: 'exited', code: 0 };
    const exit = details?.causes?.find((cause) => cause.reason === 'ExitCode');
    if (reason === 'NonZeroExitCode' && exit?.message !== undefined) return { kind: 'exited', code: Number(exit.message) };
    return message === undefined ? failed : { kind: 'failed', message: message.replace(failurePrefix, '') };
  } catch {
    return failed;
  }
}

interface SentStatus {
  readonly status?: string;
  readonly message?: string;
  readonly reason?: string;
  readonly details?: { readonly causes?: readonly { readonly reason?: string; readonly message?: string }[] };
}
