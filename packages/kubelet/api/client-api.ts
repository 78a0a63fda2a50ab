/** `KubeletApi` over the client package: nothing but translation. */

import type { KubeObject } from '@coffer/api/meta/object';
import type { BackoffOptions } from '@coffer/base/backoff';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import { Reflector } from '@coffer/client/reflector/reflector';
import { ApiClient } from '@coffer/client/rest/api-client';
import { resourcePath } from '@coffer/client/rest/resource-ref';
import type { Transport } from '@coffer/client/transport/transport';
import type { DeleteOptions, KubeletApi, ObjectPath, ObjectWatch, PatchType, WatchHandler, WatchSelector } from '../deps.ts';

/** A pod may wait for what a watch brings, so a watch that failed is tried again soon. */
const watchBackoff: BackoffOptions = { initialMs: 50, factor: 2, maxMs: 10_000, jitter: 1 };

export interface ClientApiDeps {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class ClientApi implements KubeletApi {
  readonly client: ApiClient;
  readonly #deps: ClientApiDeps;

  constructor(deps: ClientApiDeps) {
    this.#deps = deps;
    this.client = new ApiClient({ transport: deps.transport, clock: deps.clock });
  }

  get(path: ObjectPath, signal?: AbortSignal): Promise<KubeObject> {
    return this.#send('GET', pathOf(path), undefined, undefined, signal);
  }

  create(path: Omit<ObjectPath, 'name'> & { readonly name?: string }, object: unknown, signal?: AbortSignal): Promise<KubeObject> {
    return this.#send('POST', pathOf(path), 'application/json', object, signal);
  }

  update(path: ObjectPath, object: unknown, signal?: AbortSignal): Promise<KubeObject> {
    return this.#send('PUT', pathOf(path), 'application/json', object, signal);
  }

  patch(path: ObjectPath, type: PatchType, patch: unknown, signal?: AbortSignal): Promise<KubeObject> {
    return this.#send('PATCH', pathOf(path), type, patch, signal);
  }

  async delete(path: ObjectPath, options: DeleteOptions, signal?: AbortSignal): Promise<void> {
    const body = {
      kind: 'DeleteOptions',
      apiVersion: 'v1',
      gracePeriodSeconds: options.gracePeriodSeconds,
      preconditions: { uid: options.uid },
    };
    await this.#send('DELETE', pathOf(path), 'application/json', body, signal);
  }

  watch(selector: WatchSelector, handler: WatchHandler): ObjectWatch {
    const stopped = new AbortController();
    const { group, version, resource, kind } = selector.resource;
    const known = new Map<string, KubeObject>();
    const reflector = new Reflector<KubeObject>(
      {
        client: this.client.resource({ group, version, resource, kind, namespaced: selector.namespace !== undefined }),
        clock: this.#deps.clock,
        logger: this.#deps.logger,
        store: {
          replace(items) {
            const listed = new Set(items.map(keyOf));
            for (const [key, object] of known) if (!listed.has(key)) forget(key, object);
            for (const item of items) show(item);
          },
          apply(type, object) {
            if (type === 'DELETED') forget(keyOf(object), object);
            else show(object);
          },
        },
      },
      { namespace: selector.namespace, fieldSelector: selector.fieldSelector, backoff: watchBackoff },
    );
    const show = (object: KubeObject) => {
      if (stopped.signal.aborted) return;
      const key = keyOf(object);
      const before = known.get(key);
      // A name that now belongs to another object: the old one has gone.
      if (before !== undefined && before.metadata.uid !== object.metadata.uid) handler.onDelete(before);
      // managedFields are large and of no use here.
      const { managedFields: _dropped, ...metadata } = object.metadata;
      const slim: KubeObject = { ...object, metadata };
      known.set(key, slim);
      handler.onChange(slim);
    };
    const forget = (key: string, object: KubeObject) => {
      if (stopped.signal.aborted) return;
      known.delete(key);
      handler.onDelete(object);
    };
    void reflector.run(stopped.signal);
    const synced = new Promise<void>((resolve) => {
      reflector.whenSynced(stopped.signal).then(resolve, () => {});
    });
    return {
      synced,
      get revision() {
        return reflector.lastRevision;
      },
      stop: () => stopped.abort(new Error('the watch was stopped')),
    };
  }

  async #send(method: string, path: string, contentType: string | undefined, body: unknown, signal?: AbortSignal): Promise<KubeObject> {
    const answer = await this.client.json({
      method,
      path,
      ...(contentType === undefined ? {} : { headers: { 'content-type': contentType } }),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
    return answer as KubeObject;
  }
}

function pathOf(path: Omit<ObjectPath, 'name'> & { readonly name?: string }): string {
  return resourcePath(path.resource, path.namespace, path.name, path.subresource);
}

function keyOf(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name ?? ''}`;
}
