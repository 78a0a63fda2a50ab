/** What one write does to one object, by the documentation of the API alone. */
import { entriesOf, own } from '../json-tree.ts';
import type { Content, Seen, WriteRequest } from './history.ts';

export type Outcome =
  | { readonly what: 'written'; readonly content: Content }
  | { readonly what: 'unchanged' }
  | { readonly what: 'deleted' }
  | { readonly what: 'refused'; readonly status: number };

const refused = (status: number): Outcome => ({ what: 'refused', status });

/** The outcome of `request` where the object is as `before` shows it; undefined stands for no object. */
export function outcomeOf(request: WriteRequest, before: Seen | undefined): Outcome {
  if (request.verb === 'create') {
    if (before !== undefined) return refused(409);
    return request.dryRun ? { what: 'unchanged' } : { what: 'written', content: request.content };
  }
  if (before === undefined) {
    if (request.verb !== 'apply') return refused(404);
    return { what: 'written', content: { data: request.data, labels: request.labels, finalizers: [], deleting: false } };
  }
  if ('version' in request && request.version !== undefined && request.version !== before.version) return refused(409);
  const old = before.content;
  switch (request.verb) {
    case 'delete':
      if (request.uid !== undefined && request.uid !== before.uid) return refused(409);
      if (old.finalizers.length === 0) return { what: 'deleted' };
      return changed(old, { ...old, deleting: true });
    case 'update':
      return changed(old, { ...request.content, deleting: old.deleting });
    case 'patch':
      return changed(old, {
        data: merged(old.data, request.data),
        labels: merged(old.labels, request.labels),
        finalizers: request.dropFinalizers ? [] : old.finalizers,
        deleting: old.deleting,
      });
    case 'json-patch': {
      if (request.expected !== undefined && own(old.data, 'v') !== request.expected) return refused(422);
      const data = { ...old.data, ...request.set };
      if (request.remove !== undefined) {
        if (!Object.hasOwn(data, request.remove)) return refused(422);
        delete data[request.remove];
      }
      return changed(old, { ...old, data });
    }
    case 'apply':
      return changed(old, { ...old, data: { ...old.data, ...request.data }, labels: { ...old.labels, ...request.labels } });
  }
}

/** Whoever takes the last finalizer from an object that is being deleted, deletes it. */
function changed(before: Content, after: Content): Outcome {
  if (after.deleting && after.finalizers.length === 0) return { what: 'deleted' };
  return sameContent(before, after) ? { what: 'unchanged' } : { what: 'written', content: after };
}

function merged(
  before: Readonly<Record<string, string>>,
  patch: Readonly<Record<string, string | null>>,
): Readonly<Record<string, string>> {
  const after: Record<string, string> = { ...before };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete after[key];
    else after[key] = value;
  }
  return after;
}

export function sameContent(a: Content, b: Content): boolean {
  const sameMap = (x: Readonly<Record<string, string>>, y: Readonly<Record<string, string>>): boolean =>
    Object.keys(x).length === Object.keys(y).length && entriesOf(x).every(([key, value]) => own(y, key) === value);
  return (
    sameMap(a.data, b.data) &&
    sameMap(a.labels, b.labels) &&
    a.deleting === b.deleting &&
    a.finalizers.length === b.finalizers.length &&
    a.finalizers.every((item, i) => item === b.finalizers[i])
  );
}
