/**
 * Answers of the kubelet to plain requests: health, its pods, what runs, logs. The same on its port and for the API server in the same
 * process. A log that cannot be had is refused before the answer begins.
 */
import { PassThrough } from 'node:stream';
import { StatusError } from '@coffer/api/errors/status-error';
import { type NodeAnswer, type NodeApi, NodeRefusal } from '@coffer/api/node/node-api';
import type { Clock } from '@coffer/base/time/clock';
import type { RuntimeCache } from '../runtime/runtime-cache.ts';
import type { Pod } from '../types.ts';
import { drained } from './drained.ts';
import { type Route, routeOf } from './routes.ts';

export interface PagesDeps {
  readonly nodeApi: Pick<NodeApi, 'logs'>;
  /** The pods of this node, and what runs of them as `runningPods` shows it. */
  readonly pods: () => readonly Pod[];
  readonly runningPods: () => readonly object[];
  readonly clock: Clock;
}

/** How long a quiet log may take before the answer starts: an error must come first to have a status of its own. */
const headersAfterMs = 250;
const json = { 'content-type': 'application/json' };
const plain = { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' };

/** Finds out what is asked for and answers it, refusals included. */
export async function answerRequest(method: string, path: string, deps: PagesDeps, signal: AbortSignal): Promise<NodeAnswer> {
  const { pathname, searchParams } = new URL(path, 'https://kubelet');
  try {
    const route = routeOf(method, pathname, searchParams, deps.pods());
    return route === undefined ? textAnswer(404, '404 page not found') : await answerRoute(route, deps, signal);
  } catch (error) {
    if (error instanceof StatusError || error instanceof NodeRefusal) return textAnswer(error.code, error.message);
    throw error;
  }
}

/** Throws what `logs` refuses. */
export async function answerRoute(route: Route, deps: PagesDeps, signal: AbortSignal): Promise<NodeAnswer> {
  switch (route.kind) {
    case 'health':
      return textAnswer(200, 'ok');
    case 'pods':
      return podList(deps.pods());
    case 'runningPods':
      return podList(deps.runningPods());
    case 'logs':
      return logAnswer(route, deps, signal);
    case 'missing':
      return textAnswer(404, route.message);
    default:
      return textAnswer(400, 'you must specify an Upgrade to SPDY/3.1');
  }
}

/** Pods of which a container runs, as the runtime knows them. */
export function runningPods(pods: readonly Pod[], cache: Pick<RuntimeCache, 'get'>): readonly object[] {
  return pods.flatMap(({ metadata: { name, namespace, uid } }) => {
    const running = cache.get(uid).containers.filter(({ state }) => state === 'running');
    if (running.length === 0) return [];
    const containers = running.map((container) => ({ name: container.name, image: container.image, resources: {} }));
    return [{ metadata: { name, namespace, uid }, spec: { containers }, status: {} }];
  });
}

function podList(items: readonly object[]): NodeAnswer {
  const text = JSON.stringify({ kind: 'PodList', apiVersion: 'v1', metadata: {}, items });
  return { status: 200, headers: json, body: chunksOf(text) };
}

function textAnswer(status: number, text: string): NodeAnswer {
  return { status, headers: plain, body: chunksOf(text) };
}

async function* chunksOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

async function logAnswer(
  { pod, options }: Extract<Route, { kind: 'logs' }>,
  { nodeApi, clock }: PagesDeps,
  signal: AbortSignal,
): Promise<NodeAnswer> {
  const body = new PassThrough();
  const gone = new AbortController();
  body.once('close', () => gone.abort(new Error('client closed the connection')));
  // Whoever reads the body hears of it.
  body.on('error', () => {});
  let begin: () => void = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const write = async (chunk: Uint8Array) => {
    begin();
    if (!body.write(chunk)) await drained(body, gone.signal);
  };
  const reading = nodeApi.logs(pod, options, { write }, AbortSignal.any([signal, gone.signal]));
  reading.then(
    () => body.end(),
    (error: unknown) => body.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  let cancel: () => void = () => {};
  const late = new Promise<void>((resolve) => {
    cancel = clock.setTimer(headersAfterMs, resolve);
  });
  await Promise.race([begun, reading, late]).finally(() => cancel());
  return { status: 200, headers: { 'content-type': 'text/plain' }, body };
}
