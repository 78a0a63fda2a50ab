/** What a failed pull means: the waiting reason of the container. */
import { PullError } from '../runtime/container-runtime.ts';
import { CriError } from './cri-channel.ts';

/** A runtime may put the reason itself before its message; otherwise it is an ordinary failed pull. */
export function pullError(image: string, error: unknown): PullError {
  const message = error instanceof Error ? error.message : String(error);
  for (const reason of ['RegistryUnavailable', 'SignatureValidationFailed'] as const) {
    if (message.includes(reason)) return new PullError(reason, message, { cause: error });
  }
  if (error instanceof CriError && /invalid reference format|failed to parse image|parse image reference/.test(message)) {
    return new PullError(
      'InvalidImageName',
      `Failed to apply default image tag "${image}": couldn't parse image name "${image}": ${message}`,
      {
        cause: error,
      },
    );
  }
  return new PullError('ErrImagePull', message, { cause: error });
}
