/** Makes sure that a container's image is there, by its pull policy, with back-off for pulls that fail. Events and reasons as upstream. */
import type { Clock } from '@coffer/base/time/clock';
import type { ContainerRuntime, ImageStatus, RegistryAuth } from '@coffer/cri/runtime/container-runtime';
import { PullError } from '@coffer/cri/runtime/container-runtime';
import { StartBackoff } from '../pods/start-backoff.ts';
import { goDuration } from '../pods/time-format.ts';
import { Limiter } from '../runtime/limiter.ts';
import type { Pod } from '../types.ts';
import { messageOf } from '../volumes/payloads.ts';
import type { PulledRecords } from './pulled-records.ts';

/** The image cannot be had now; `reason` is the container's waiting reason. */
export class ImageUnavailable extends Error {
  readonly reason: string;
  /** When trying again makes sense; undefined where nobody knows. */
  readonly retryInMs: number | undefined;
  constructor(reason: string, message: string, retryInMs: number | undefined, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'ImageUnavailable';
    this.reason = reason;
    this.retryInMs = retryInMs;
  }
}

export interface ImageRequest {
  readonly pod: Pod;
  readonly image: string;
  readonly pullPolicy: string | undefined;
  /** Credentials that may fit, best first; looked up only when they matter. */
  readonly credentials: () => Promise<readonly RegistryAuth[]>;
  readonly event: (type: 'Normal' | 'Warning', reason: string, message: string) => void;
}

const pullsAtOnce = 5;
/** After a failed pull the pod is looked at again, as any other news of it would make the kubelet do: then it says that it backs off. */
const lookAgainMs = 2_000;

export class ImageManager {
  readonly #runtime: ContainerRuntime;
  readonly #clock: Clock;
  readonly #records: PulledRecords;
  readonly #backoff: StartBackoff;
  readonly #lastError = new Map<string, string>();
  readonly #lastFailureMs = new Map<string, number>();
  readonly #limiter = new Limiter(pullsAtOnce);

  constructor(runtime: ContainerRuntime, clock: Clock, records: PulledRecords) {
    this.#runtime = runtime;
    this.#clock = clock;
    this.#records = records;
    this.#backoff = new StartBackoff(clock, { initialMs: 10_000, maxMs: 300_000 });
  }

  /** Throws ImageUnavailable. */
  async ensure(request: ImageRequest): Promise<ImageStatus | undefined> {
    const { pod, image, event } = request;
    if (!isValidReference(image)) {
      const message = `Failed to apply default image tag ${JSON.stringify(image)}: couldn't parse image name ${JSON.stringify(image)}: invalid reference format`;
      event('Warning', 'InspectFailed', message);
      throw new ImageUnavailable('InvalidImageName', message, undefined);
    }
    let present: ImageStatus | undefined;
    let accessible: boolean;
    try {
      present = await this.#runtime.imageStatus(image);
      accessible = present !== undefined && (await this.#accessible(request, present));
    } catch (error) {
      const message = `Failed to inspect image ${JSON.stringify(image)}: ${messageOf(error)}`;
      event('Warning', 'InspectFailed', message);
      throw new ImageUnavailable('ImageInspectError', message, undefined, { cause: error });
    }
    if (present !== undefined && accessible) {
      event('Normal', 'Pulled', `Container image ${JSON.stringify(image)} already present on machine and can be accessed by the pod`);
      return present;
    }
    if (request.pullPolicy === 'Never') {
      const message = `Container image ${JSON.stringify(image)} is not present with pull policy of Never`;
      event('Warning', 'ErrImageNeverPull', message);
      throw new ImageUnavailable('ErrImageNeverPull', message, undefined);
    }
    const key = `${pod.metadata.uid}_${image}`;
    const failedMs = this.#lastFailureMs.get(key);
    const remaining = failedMs === undefined ? 0 : this.#backoff.remainingMs(key, failedMs);
    if (remaining > 0) {
      const message = `Back-off pulling image ${JSON.stringify(image)}`;
      event('Normal', 'BackOff', message);
      const last = this.#lastError.get(key);
      throw new ImageUnavailable('ImagePullBackOff', last === undefined ? message : `${message}: ${last}`, remaining);
    }
    return this.#pull(request, key);
  }

  forgetPod(uid: string): void {
    this.#backoff.forget(`${uid}_`);
    for (const key of this.#lastError.keys()) if (key.startsWith(`${uid}_`)) this.#lastError.delete(key);
    for (const key of this.#lastFailureMs.keys()) if (key.startsWith(`${uid}_`)) this.#lastFailureMs.delete(key);
  }

  /** Whether the pod may start with the image that is there. */
  async #accessible(request: ImageRequest, present: ImageStatus): Promise<boolean> {
    if ((await this.#runtime.status()).runsOnHostFiles) return true;
    return request.pullPolicy !== 'Always' && this.#records.mayUse(present.id, request.image, request.credentials);
  }

  async #pull(request: ImageRequest, key: string): Promise<ImageStatus | undefined> {
    const { image, event } = request;
    event('Normal', 'Pulling', `Pulling image ${JSON.stringify(image)}`);
    const askedMs = this.#clock.monotonicMs();
    try {
      return await this.#limiter.run(async () => {
        const startedMs = this.#clock.monotonicMs();
        await this.#pullWithAny(image, await request.credentials());
        const status = await this.#runtime.imageStatus(image);
        const ended = this.#clock.monotonicMs();
        event(
          'Normal',
          'Pulled',
          `Successfully pulled image ${JSON.stringify(image)} in ${duration(ended - startedMs)} (${duration(ended - askedMs)} including waiting). ` +
            `Image size: ${status?.sizeBytes ?? 0} bytes.`,
        );
        this.#lastError.delete(key);
        this.#lastFailureMs.delete(key);
        return status;
      });
    } catch (error) {
      event('Warning', 'Failed', `Failed to pull image ${JSON.stringify(image)}: ${messageOf(error)}`);
      const { reason, message } = explainFailure(image, error);
      const now = this.#clock.now();
      this.#backoff.next(key, now);
      this.#lastFailureMs.set(key, now);
      this.#lastError.set(key, `${reason}: ${message}`);
      throw new ImageUnavailable(reason, message, Math.min(lookAgainMs, this.#backoff.delayMs(key)), { cause: error });
    }
  }

  async #pullWithAny(image: string, credentials: readonly RegistryAuth[]): Promise<void> {
    const failures: unknown[] = [];
    await this.#records.begin(image);
    for (const auth of credentials.length === 0 ? [undefined] : credentials) {
      try {
        await this.#records.pulled(await this.#runtime.pullImage(image, auth), image, auth);
        return;
      } catch (error) {
        failures.push(error);
      }
    }
    await this.#records.abandon(image);
    const messages = [...new Set(failures.map(messageOf))];
    throw messages.length === 1 ? failures[0] : new PullError('ErrImagePull', `[${messages.join(', ')}]`, { cause: failures[0] });
  }
}

/** What the container says while it waits; some reasons have words of their own. */
function explainFailure(image: string, error: unknown): { readonly reason: string; readonly message: string } {
  const reason = error instanceof PullError ? error.reason : 'ErrImagePull';
  const message = messageOf(error);
  const causes: Readonly<Record<string, string>> = {
    RegistryUnavailable: 'the registry is unavailable',
    SignatureValidationFailed: 'the signature validation failed',
  };
  const cause = causes[reason];
  return {
    reason,
    message: cause === undefined ? message : `image pull failed for ${image} because ${cause}${message.slice(reason.length)}`,
  };
}

function duration(ms: number): string {
  return goDuration(Math.round(ms));
}

/** The shape that image references must have; what is behind it is the registry's business. */
export function isValidReference(image: string): boolean {
  const host = '(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\\[[0-9a-fA-F:]+\\])(?::[0-9]+)?';
  const component = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
  const pattern = `^(?:${host}/)?${component}(?:/${component})*(?::[\\w][\\w.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*(?:[+._-][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?$`;
  return new RegExp(pattern).test(image);
}
