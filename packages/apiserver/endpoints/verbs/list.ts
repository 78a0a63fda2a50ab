import { badRequest, notAcceptable, resourceExpired } from '@coffer/api/errors/status-error';
import type { HttpResponse } from '@coffer/base/http/handler';
import { StorageError } from '@coffer/storage/errors';
import type { StoreListOptions, StoreListResult } from '@coffer/storage/store/store';
import type { RequestContext } from '../../request/context.ts';
import { decodeContinue, encodeContinue, expiredContinue, type ListPosition } from '../continue-token.ts';
import { tooLargeResourceVersion } from '../errors.ts';
import { readRevision, waitUntilFresh } from '../freshness.ts';
import { listMediaTypes, negotiateOutput, type OutputFormat } from '../negotiation.ts';
import { type ListOptions, parseListOptions } from '../options/list-options.ts';
import { goTypeOf, isPlain } from '../represent.ts';
import { listObject, respondListBytes } from '../representation/list-bytes.ts';
import { metadataListBytes } from '../representation/metadata-bytes.ts';
import { partialMetadataList } from '../representation/partial-metadata.ts';
import { parseIncludeObject, tableOf } from '../representation/table.ts';
import { respondBytes, respondObject } from '../respond.ts';
import { type Scope, storageNamespace } from '../scope.ts';
import { type RequestSelection, selectionOf } from '../selection.ts';

/** LIST: objects of one revision from the watch cache, in pages when a limit is given. */
export async function listObjects(context: RequestContext, scope: Scope): Promise<HttpResponse> {
  const format = negotiateOutput(context.http, context.query, listMediaTypes);
  const options = parseListOptions(context.query, false);
  const selection = selectionOf(scope.registry.kind, storageNamespace(context, scope), '', options);
  const result = await readList(scope, options, selection);
  return respondList(context, scope, result, listMetadata(result, options, selection), format);
}

/** What a list selects at the revision its options ask for. Throws StatusError 400, 410 or 504. */
export async function readList(scope: Scope, options: ListOptions, selection: RequestSelection): Promise<StoreListResult> {
  const { store } = scope.registry;
  const base: StoreListOptions = {
    ...(selection.namespace === undefined ? {} : { namespace: selection.namespace }),
    ...(selection.name === undefined ? {} : { name: selection.name }),
    ...(selection.matches === undefined ? {} : { matches: selection.matches }),
  };
  const limit = options.limit > 0 ? { limit: options.limit } : {};
  if (options.continue !== '') return continueList(scope, options, { ...base, ...limit });

  const { resourceVersion: version, resourceVersionMatch: match } = options;
  if (version === '') {
    await waitUntilFresh(store, 'latest');
    return store.list({ ...base, ...limit });
  }
  const revision = readRevision(version);
  // "Any version" is answered from the cache as a whole, whatever the limit.
  if (revision === 0) return store.list(base);
  if (match === 'Exact' || (match === '' && options.limit > 0)) {
    return exactList(scope, revision, { ...base, ...limit }, () =>
      resourceExpired('The resourceVersion for the provided list is too old.'),
    );
  }
  await waitUntilFresh(store, revision);
  return store.list({ ...base, ...limit });
}

async function continueList(scope: Scope, options: ListOptions, base: StoreListOptions): Promise<StoreListResult> {
  const position: ListPosition = decodeContinue(options.continue);
  if (options.resourceVersion !== '' && options.resourceVersion !== '0') {
    throw badRequest('specifying resource version is not allowed when using continue');
  }
  const { afterKey } = position;
  if (position.revision < 0) {
    await waitUntilFresh(scope.registry.store, 'latest');
    return scope.registry.store.list({ ...base, afterKey });
  }
  return exactList(scope, position.revision, { ...base, afterKey }, () => expiredContinue(position));
}

async function exactList(scope: Scope, revision: number, options: StoreListOptions, expired: () => Error): Promise<StoreListResult> {
  const { store } = scope.registry;
  await waitUntilFresh(store, revision);
  try {
    return await store.list({ ...options, atRevision: revision });
  } catch (error) {
    if (error instanceof StorageError && error.code === 'compacted') throw expired();
    if (error instanceof StorageError && error.code === 'future-revision') {
      throw tooLargeResourceVersion(`Too large resource version: ${revision}, current: ${store.revision}`);
    }
    throw error;
  }
}

/** ListMeta of an answer. */
export interface ListMetadata {
  readonly resourceVersion: string;
  readonly continue?: string;
  readonly remainingItemCount?: number;
}

export function listMetadata(result: StoreListResult, options: ListOptions, selection: RequestSelection): ListMetadata {
  const { revision, continueAfter, remaining } = result;
  const tellsRemaining = selection.selectsAll && options.labelSelector.empty && remaining !== undefined && remaining > 0;
  return {
    resourceVersion: String(revision),
    ...(continueAfter === undefined ? {} : { continue: encodeContinue({ revision, afterKey: continueAfter }) }),
    ...(continueAfter !== undefined && tellsRemaining ? { remainingItemCount: remaining } : {}),
  };
}

/** Answers with a list in the negotiated representation. */
export async function respondList(
  context: RequestContext,
  scope: Scope,
  result: StoreListResult,
  metadata: ListMetadata,
  format: OutputFormat,
): Promise<HttpResponse> {
  if (isPlain(format) && !scope.registry.converts) return respondListBytes(context, scope, result.items, metadata);
  const { convert } = format;
  if (convert?.kind === 'PartialObjectMetadataList' && format.type === 'json' && !format.pretty && !scope.registry.converts) {
    return respondBytes(context, 200, metadataListBytes(result.items, convert.version, metadata));
  }
  const objects = result.items.map((item) => scope.registry.served(item));
  if (convert === undefined) return respondObject(context, 200, listObject(scope, objects, metadata), format);
  switch (convert.kind) {
    case 'Table': {
      const include = parseIncludeObject(context.query);
      const nowMs = scope.tools.clock.now();
      const table = tableOf(scope.registry.kind.table, objects, {
        version: convert.version,
        include,
        headers: true,
        nowMs,
        metadata: { ...metadata },
      });
      return respondObject(context, 200, table, format);
    }
    case 'PartialObjectMetadataList':
      return respondObject(context, 200, partialMetadataList(objects, convert.version, { ...metadata }), format);
    case 'PartialObjectMetadata':
      throw notAcceptable(`you requested PartialObjectMetadata, but the requested object is a list (${goTypeOf(scope, 'List')})`);
  }
}
