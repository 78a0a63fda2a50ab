import { badRequest } from '@coffer/api/errors/status-error';
import type { ExecOptions, LogOptions, PodRef } from '@coffer/api/node/node-api';
import { isStaticPod } from '../static/static-pod-manifest.ts';
import type { Pod } from '../types.ts';

/** What a request to the kubelet's port asks for; `missing` names a pod or container that is not here. */
export type Route =
  | { readonly kind: 'health' }
  | { readonly kind: 'pods' }
  | { readonly kind: 'runningPods' }
  | { readonly kind: 'logs'; readonly pod: PodRef; readonly options: LogOptions }
  | { readonly kind: 'exec' | 'attach'; readonly pod: PodRef; readonly options: ExecOptions }
  | { readonly kind: 'portForward'; readonly pod: PodRef }
  | { readonly kind: 'missing'; readonly message: string };

/**
 * Upstream's paths: `/containerLogs/<namespace>/<pod>/<container>`, `/exec/<namespace>/<pod>[/<uid>]/<container>`, `/attach/…` likewise,
 * `/portForward/<namespace>/<pod>[/<uid>]`, `/pods`, `/runningpods/`, `/healthz`. Undefined for every other path or method.
 */
export function routeOf(method: string, path: string, query: URLSearchParams, pods: readonly Pod[]): Route | undefined {
  const [verb = '', ...parts] = path
    .split('/')
    .filter((part) => part !== '')
    .map(decodePart);
  const isRead = method === 'GET' || method === 'HEAD';
  const isStream = method === 'GET' || method === 'POST';
  switch (verb) {
    case 'healthz':
      return isRead && parts.length <= 1 ? { kind: 'health' } : undefined;
    case 'pods':
      return isRead && parts.length === 0 ? { kind: 'pods' } : undefined;
    case 'runningpods':
      return isRead && parts.length === 0 ? { kind: 'runningPods' } : undefined;
    case 'containerLogs':
      return isRead && parts.length === 3
        ? withPod(pods, parts, '', (pod) => ({ kind: 'logs', pod, options: logOptions(query, parts[2] ?? '') }))
        : undefined;
    case 'exec':
    case 'attach': {
      if (!isStream || (parts.length !== 3 && parts.length !== 4)) return undefined;
      const uid = parts.length === 4 ? (parts[2] ?? '') : '';
      return withPod(pods, parts, uid, (pod) => ({ kind: verb, pod, options: execOptions(query, parts.at(-1) ?? '') }));
    }
    case 'portForward':
      if (!isStream || (parts.length !== 2 && parts.length !== 3)) return undefined;
      return withPod(pods, parts, parts[2] ?? '', (pod) => ({ kind: 'portForward', pod }));
    default:
      return undefined;
  }
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw badRequest(`invalid URL escape in ${JSON.stringify(part)}`);
  }
}

function withPod(pods: readonly Pod[], [namespace = '', name = '']: readonly string[], uid: string, route: (pod: PodRef) => Route): Route {
  // A static pod is known to the API under the UID of its mirror.
  const found = pods.find(
    (pod) =>
      pod.metadata.namespace === namespace && pod.metadata.name === name && (uid === '' || pod.metadata.uid === uid || isStaticPod(pod)),
  );
  if (!found) return { kind: 'missing', message: `pod ${JSON.stringify(`${name}_${namespace}`)} not found` };
  return route({ namespace, name, uid: found.metadata.uid });
}

function execOptions(query: URLSearchParams, container: string): ExecOptions {
  const tty = isSet(query, 'tty');
  return {
    container,
    command: query.getAll('command'),
    stdin: isSet(query, 'input'),
    stdout: isSet(query, 'output'),
    // A terminal has one output.
    stderr: !tty && isSet(query, 'error'),
    tty,
  };
}

function logOptions(query: URLSearchParams, container: string): LogOptions {
  return {
    container,
    follow: isSet(query, 'follow'),
    previous: isSet(query, 'previous'),
    timestamps: isSet(query, 'timestamps'),
    tailLines: wholeNumber(query, 'tailLines'),
    limitBytes: wholeNumber(query, 'limitBytes'),
    sinceSeconds: wholeNumber(query, 'sinceSeconds'),
    sinceTime: query.get('sinceTime') || undefined,
  };
}

function isSet(query: URLSearchParams, name: string): boolean {
  const value = query.get(name);
  return value === '1' || value === 'true';
}

function wholeNumber(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '' || text === 'all') return undefined;
  if (!/^\d{1,15}$/.test(text)) throw badRequest(`${name}: expected a whole number`);
  return Number(text);
}
