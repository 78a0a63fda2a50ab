import type { NodeAttributes } from './kubelet-access.ts';

const verbs: Readonly<Record<string, string>> = { POST: 'create', GET: 'get', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };

/** Subresources of their own, by the start of the path; everything else is `proxy`. */
const coarse: readonly (readonly [prefix: string, subresource: string])[] = [
  ['/stats', 'stats'],
  ['/metrics', 'metrics'],
  ['/logs', 'log'],
  ['/checkpoint', 'checkpoint'],
];

/** Paths that a narrower permission than `proxy` allows as well. */
const fine: readonly (readonly [prefix: string, subresource: string])[] = [
  ['/pods', 'pods'],
  ['/runningpods', 'pods'],
  ['/healthz', 'healthz'],
  ['/configz', 'configz'],
];

/** What a request to the kubelet's port needs, any of it: upstream's mapping to verbs on `nodes/…`. */
export function attributesFor(method: string, path: string): readonly NodeAttributes[] {
  const verb = verbs[method] ?? '';
  const within = ([prefix]: readonly [string, string]) => path === prefix || path.startsWith(`${prefix}/`);
  const own = coarse.find(within)?.[1];
  if (own !== undefined) return [{ verb, subresource: own }];
  const narrow = fine.find(within)?.[1];
  return [...(narrow === undefined ? [] : [{ verb, subresource: narrow }]), { verb, subresource: 'proxy' }];
}
