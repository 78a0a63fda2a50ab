/** Makes the EndpointSlices of one owner say what they should: those that fit stay, others are rewritten, created or deleted. */

import type { V1EndpointSlice, V1OwnerReference } from '@coffer/api/generated/types';
import { equalJson, setOwn } from '@coffer/api/meta/safe-object';
import type { Informer } from '@coffer/client/informer/informer';
import { nameOf, namespaceOf, revisionOf } from '@coffer/client/rest/api-object';
import { ENDPOINT_SLICES } from '@coffer/client/rest/well-known';
import type { LoopDeps } from '../common/loop-deps.ts';

export type SliceContent = Pick<V1EndpointSlice, 'addressType' | 'endpoints' | 'ports'>;

/** What all slices of one owner have in common. */
export interface SliceFrame {
  readonly namespace: string;
  /** The name of what they are made for; theirs begin with it. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Absent: annotations are nobody's business. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** The annotations that slices get when they are written for another reason; those of the same names go. Others stay. */
  readonly stamp?: { readonly names: readonly string[]; readonly annotations: Readonly<Record<string, string>> };
  readonly owner: V1OwnerReference;
}

/**
 * `frame` is undefined when there is no owner any more: then all slices go. Resolves when `seen` shows what was written, so that the next
 * look at it makes nothing twice.
 */
export async function reconcileSlices(
  deps: LoopDeps,
  seen: Informer<V1EndpointSlice>,
  frame: SliceFrame | undefined,
  existing: readonly V1EndpointSlice[],
  wanted: readonly SliceContent[],
  signal: AbortSignal,
): Promise<void> {
  const client = deps.api.resource(ENDPOINT_SLICES);
  const free = [...existing];
  if (frame !== undefined) {
    const { namespace, name, labels, owner } = frame;
    const missing = wanted.filter((content) => {
      const at = free.findIndex((slice) => holds(slice, content) && isFramed(slice, frame));
      if (at >= 0) free.splice(at, 1);
      return at < 0;
    });
    let written: V1EndpointSlice | undefined;
    for (const content of missing) {
      const at = free.findIndex((slice) => slice.addressType === content.addressType);
      const reused = at >= 0 ? free.splice(at, 1)[0] : undefined;
      if (reused === undefined) {
        const metadata = { generateName: `${name}-`, namespace, labels, ...annotationsFor(frame, {}), ownerReferences: [owner] };
        written = await client.create(
          { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata, ...content },
          { namespace, signal },
        );
      } else {
        const { annotations: old = {}, ...kept } = reused.metadata ?? {};
        const metadata = { ...kept, labels, ...annotationsFor(frame, old) };
        written = await client.update({ ...reused, metadata, ...content }, { namespace, signal });
      }
    }
    if (written !== undefined) await seen.whenAtLeast(revisionOf(written), signal);
  }
  for (const slice of free) await client.delete(nameOf(slice), { namespace: namespaceOf(slice), signal });
}

function annotationsFor({ annotations, stamp }: SliceFrame, old: Readonly<Record<string, string>>) {
  if (annotations !== undefined) return { annotations: { ...annotations } };
  const kept = Object.entries(old).filter(([name]) => stamp?.names.includes(name) !== true);
  const all: Record<string, string> = {};
  for (const [name, value] of [...kept, ...Object.entries(stamp?.annotations ?? {})]) setOwn(all, name, value);
  return Object.keys(all).length === 0 ? {} : { annotations: all };
}

function isFramed({ metadata }: V1EndpointSlice, { labels, annotations }: SliceFrame): boolean {
  return equalJson(metadata?.labels, labels) && (annotations === undefined || equalJson(metadata?.annotations ?? {}, annotations));
}

function holds(slice: V1EndpointSlice, content: SliceContent): boolean {
  return (
    slice.addressType === content.addressType &&
    equalJson(slice.endpoints ?? [], content.endpoints ?? []) &&
    equalJson(slice.ports ?? [], content.ports ?? [])
  );
}
