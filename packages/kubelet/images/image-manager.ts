/** Makes sure that a container's image is there, by its pull policy, with back-off for pulls that fail. Events and reasons as upstream. */
import type { Clock } from '@coffer/base/time/clock';
import type { ContainerRuntime, ImageStatus, RegistryAuth } from '@coffer/cri/runtime/container-runtime';
import { PullError } from '@coffer/cri/runtime/container-runtime';
import { StartBackoff } from '../pods/start-backoff.ts';
import { goDuration } from '../pods/time-format.ts';
import { Limiter } from '../runtime/limiter.ts';
import type { Container, Pod } from '../types.ts';
import { messageOf } from '../volumes/payloads.ts';

/** The image cannot be had now; `reason` is the container's waiting reason. */
export class ImageUnavailable extends Error {
  readonly reason: string;
  /** When trying again makes sense; undefined when only a change of the pod helps. */
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
  readonly container: Container;
  /** Credentials that may fit, best first; looked up only when a pull is needed. */
  readonly credentials: () => Promise<readonly RegistryAuth[]>;
  readonly event: (type: 'Normal' | 'Warning', reason: string, message: string) => void;
}

const pullsAtOnce = 5;

export class ImageManager {
  readonly #runtime: ContainerRuntime;
  readonly #clock: Clock;
  readonly #backoff: StartBackoff;
  readonly #lastError = new Map<string, string>();
  readonly #lastFailureMs = new Map<string, number>();
  readonly #limiter = new Limiter(pullsAtOnce);

  constructor(runtime: ContainerRuntime, clock: Clock) {
    this.#runtime = runtime;
    this.#clock = clock;
    this.#backoff = new StartBackoff(clock, { initialMs: 10_000, maxMs: 300_000 });
  }

  /** Throws ImageUnavailable. */
  async ensure(request: ImageRequest): Promise<ImageStatus | undefined> {
    const { pod, container, event } = request;
    const image = container.image ?? '';
    if (!isValidReference(image)) {
      const message = `Failed to apply default image tag ${JSON.stringify(image)}: couldn't parse image name ${JSON.stringify(image)}: invalid reference format`;
      event('Warning', 'InspectFailed', message);
      throw new ImageUnavailable('InvalidImageName', message, undefined);
    }
    let present: ImageStatus | undefined;
    try {
      present = await this.#runtime.imageStatus(image);
    } catch (error) {
      const message = `Failed to inspect image ${JSON.stringify(image)}: ${messageOf(error)}`;
      event('Warning', 'InspectFailed', message);
      throw new ImageUnavailable('ImageInspectError', message, 10_000, { cause: error });
    }
    const policy = container.imagePullPolicy ?? 'IfNotPresent';
    if (present !== undefined && (policy !== 'Always' || (await this.#runtime.status()).runsOnHostFiles)) {
      event('Normal', 'Pulled', `Container image ${JSON.stringify(image)} already present on machine and can be accessed by the pod`);
      return present;
    }
    if (policy === 'Never') {
      const message = `Container image ${JSON.stringify(image)} is not present with pull policy of Never`;
      event('Warning', 'ErrImageNeverPull', message);
      throw new ImageUnavailable('ErrImageNeverPull', message, 10_000);
    }
    const key = `${pod.metadata.uid}_${container.name}_${image}`;
    const failedMs = this.#lastFailureMs.get(key);
    const remaining = failedMs === undefined ? 0 : this.#backoff.remainingMs(key, failedMs);
    if (remaining > 0) {
      const message = `Back-off pulling image ${JSON.stringify(image)}`;
      event('Normal', 'BackOff', message);
      const last = this.#lastError.get(key);
      throw new ImageUnavailable('ImagePullBackOff', last === undefined ? message : `${message}: ${last}`, remaining);
    }
    return this.#pull(request, image, key);
  }

  forgetPod(uid: string): void {
    this.#backoff.forget(`${uid}_`);
    for (const key of this.#lastError.keys()) if (key.startsWith(`${uid}_`)) this.#lastError.delete(key);
    for (const key of this.#lastFailureMs.keys()) if (key.startsWith(`${uid}_`)) this.#lastFailureMs.delete(key);
  }

  async #pull(request: ImageRequest, image: string, key: string): Promise<ImageStatus | undefined> {
    const { event } = request;
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
      const reason = error instanceof PullError ? error.reason : 'ErrImagePull';
      event('Warning', 'Failed', `Failed to pull image ${JSON.stringify(image)}: ${messageOf(error)}`);
      const now = this.#clock.now();
      this.#backoff.next(key, now);
      this.#lastFailureMs.set(key, now);
      this.#lastError.set(key, `${reason}: ${messageOf(error)}`);
      throw new ImageUnavailable(reason, messageOf(error), this.#backoff.delayMs(key), { cause: error });
    }
  }

  async #pullWithAny(image: string, credentials: readonly RegistryAuth[]): Promise<void> {
    if (credentials.length === 0) {
      await this.#runtime.pullImage(image, undefined);
      return;
    }
    const failures: unknown[] = [];
    for (const auth of credentials) {
      try {
        await this.#runtime.pullImage(image, auth);
        return;
      } catch (error) {
        failures.push(error);
      }
    }
    throw failures.length === 1
      ? failures[0]
      : new PullError('ErrImagePull', `[${failures.map(messageOf).join(', ')}]`, { cause: failures[0] });
  }
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
