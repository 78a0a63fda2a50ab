/** What a failed pull means: the waiting reason of the container. */
import { PullError } from '../runtime/container-runtime.ts';
import { CriError } from './cri-channel.ts';

/** A runtime may put the reason itself before its message; otherwise it is an ordinary failed pull, with the code where it tells something. */
export function pullError(image: string, error: unknown): PullError {
  const message = error instanceof Error ? error.message : String(error);
  for (const reason of ['RegistryUnavailable', 'SignatureValidationFailed'] as const) {
    if (message.startsWith(reason)) return new PullError(reason, message, { cause: error });
  }
  if (error instanceof CriError && /invalid reference format|failed to parse image|parse image reference/.test(message)) {
    const name = JSON.stringify(image);
    return new PullError('InvalidImageName', `Failed to apply default image tag ${name}: couldn't parse image name ${name}: ${message}`, {
      cause: error,
    });
  }
  return new PullError('ErrImagePull', error instanceof CriError && !error.unknown ? error.rpcText : message, { cause: error });
}
