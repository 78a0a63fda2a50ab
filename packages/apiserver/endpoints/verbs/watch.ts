import { resourceExpired } from '@coffer/api/errors/status-error';
import type { HttpResponse, StreamSink } from '@coffer/base/http/handler';
import { StorageError } from '@coffer/storage/errors';
import type { RequestContext } from '../../request/context.ts';
import { toStatusError } from '../errors.ts';
import { waitUntilFresh, watchRevision } from '../freshness.ts';
import { negotiateWatch } from '../negotiation.ts';
import { type ListOptions, parseListOptions } from '../options/list-options.ts';
import { parseIncludeObject } from '../representation/table.ts';
import { type Scope, storageNamespace } from '../scope.ts';
import { type RequestSelection, selectionOf } from '../selection.ts';
import { isWebSocketUpgrade } from '../streaming/web-socket.ts';
import { serveWebSocketStream } from '../streaming/web-socket-sink.ts';
import { createEventEncoder } from '../watch/event-encoder.ts';
import { type WatchPlan, WatchStream } from '../watch/watch-stream.ts';

const defaultTimeoutMs = 30 * 60_000;

/** WATCH: events as lines of JSON, or as WebSocket messages, from the revision the options ask for. */
export async function watchObjects(context: RequestContext, scope: Scope): Promise<HttpResponse> {
  const { registry, tools } = scope;
  const options = parseListOptions(context.query, true);
  const name = context.info.path.includes('/watch/') ? context.info.name : '';
  const selection = selectionOf(registry.kind, storageNamespace(context, scope), name, options);
  const format = negotiateWatch(context.http, context.query, streamsList(options));
  const include = format.convert?.kind === 'Table' ? parseIncludeObject(context.query) : 'Metadata';
  const plan = await planWatch(scope, options, selection);
  const encoder = createEventEncoder(registry, format, include, () => tools.clock.now());
  const { group, version, resource } = scope.resource;
  const run = (sink: StreamSink) =>
    new WatchStream(plan, sink, {
      clock: tools.clock,
      encoder,
      open: (storeOptions, watchSink) => registry.store.watch(storeOptions, watchSink),
      describeError: (error) => describe(error, plan),
      onEvents: (count) => tools.onWatchEvents(group, version, resource, count),
      random: tools.random,
    }).run();

  if (isWebSocketUpgrade(context.http)) return serveWebSocketStream(context.http, { protocol: '', format: 'text' }, run);
  return { kind: 'stream', status: 200, headers: { 'content-type': 'application/json' }, run };
}

async function planWatch(scope: Scope, options: ListOptions, selection: RequestSelection): Promise<WatchPlan> {
  const { store } = scope.registry;
  const { resourceVersion: version } = options;
  const revision = version === '' ? 0 : watchRevision(version);
  const initialState = options.sendInitialEvents === true;
  if (initialState && version === '') await waitUntilFresh(store, 'latest');
  else if (initialState && revision > 0) await waitUntilFresh(store, revision);
  const startsNow = !initialState && revision === 0;
  const future = !initialState && revision > store.revision;
  return {
    options: {
      ...(selection.namespace === undefined ? {} : { namespace: selection.namespace }),
      ...(selection.name === undefined ? {} : { name: selection.name }),
      ...(selection.matches === undefined ? {} : { matches: selection.matches }),
      afterRevision: startsNow || future || initialState ? store.revision : revision,
      initialState,
    },
    skipUpTo: future ? revision : 0,
    bookmarks: options.allowWatchBookmarks,
    marksInitialEnd: streamsList(options),
    timeoutMs: timeoutMsOf(options, scope.tools.random),
    requestedRevision: revision,
  };
}

/** A list as a stream: the state first, then a bookmark that says that this was all. */
function streamsList(options: ListOptions): boolean {
  return options.sendInitialEvents === true && options.allowWatchBookmarks;
}

function timeoutMsOf(options: ListOptions, random: () => number): number {
  const { timeoutSeconds } = options;
  if (timeoutSeconds !== undefined && timeoutSeconds !== 0) return Math.min(timeoutSeconds * 1000, 2 ** 31 - 1);
  return defaultTimeoutMs * (1 + random());
}

function describe(error: unknown, plan: WatchPlan) {
  if (error instanceof StorageError && error.code === 'compacted') {
    const oldest = error.revision === undefined ? '' : ` (${error.revision})`;
    return resourceExpired(`too old resource version: ${plan.requestedRevision}${oldest}`);
  }
  return toStatusError(error);
}
