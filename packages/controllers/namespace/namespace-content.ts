/**
 * One pass over everything in a namespace: asks for the deletion of all objects of all resources and reports what is left. Pods go
 * first: while one is left, nothing else is touched, so that a pod that shuts down still has its configuration.
 */
import { isReason } from '@coffer/api/errors/status-error';
import type { DiscoveredResource } from '@coffer/client/discovery/discover-resources';
import { discoverResources } from '@coffer/client/discovery/discover-resources';
import type { ApiClient } from '@coffer/client/rest/api-client';
import type { ContentReport } from './namespace-conditions.ts';

export interface ContentPass extends ContentReport {
  readonly empty: boolean;
}

interface Tally {
  readonly discoveryErrors: string[];
  readonly deletionErrors: string[];
  readonly remaining: Map<string, number>;
  readonly finalizers: Map<string, number>;
}

export async function deleteContent(api: ApiClient, namespace: string, signal: AbortSignal): Promise<ContentPass> {
  const tally: Tally = { discoveryErrors: [], deletionErrors: [], remaining: new Map(), finalizers: new Map() };
  const discovery = await discoverResources(api, signal);
  for (const failure of discovery.failures) tally.discoveryErrors.push(`${failure.groupVersion}: ${messageOf(failure.error)}`);
  const deletable = discovery.resources.filter((r) => r.namespaced && r.verbs.includes('list') && r.verbs.includes('delete'));
  const isPods = (resource: DiscoveredResource) => resource.group === '' && resource.resource === 'pods';
  for (const resource of deletable.filter(isPods)) await deleteResource(api, namespace, resource, tally, signal);
  if (tally.remaining.size === 0) {
    await Promise.all(deletable.filter((r) => !isPods(r)).map((resource) => deleteResource(api, namespace, resource, tally, signal)));
  }
  const empty = tally.remaining.size === 0 && tally.deletionErrors.length === 0 && tally.discoveryErrors.length === 0;
  return { ...tally, empty };
}

async function deleteResource(
  api: ApiClient,
  namespace: string,
  resource: DiscoveredResource,
  tally: Tally,
  signal: AbortSignal,
): Promise<void> {
  const client = api.resource(resource);
  const scope = { namespace, signal, metadataOnly: true };
  try {
    const before = await client.listAll(scope);
    if (before.items.length === 0) return;
    const body = { propagationPolicy: 'Background' };
    if (resource.verbs.includes('deletecollection')) {
      await client.deleteCollection({ namespace, signal, body });
    } else {
      for (const item of before.items) {
        await client.delete(item.metadata?.name ?? '', { namespace, signal, body }).catch((error: unknown) => {
          if (!isReason(error, 'NotFound')) throw error;
        });
      }
    }
    const after = await client.listAll(scope);
    if (after.items.length === 0) return;
    tally.remaining.set(`${resource.resource}.${resource.group}`, after.items.length);
    for (const item of after.items)
      for (const finalizer of item.metadata?.finalizers ?? []) tally.finalizers.set(finalizer, (tally.finalizers.get(finalizer) ?? 0) + 1);
  } catch (error) {
    signal.throwIfAborted();
    // A resource that went away since it was discovered has no content left.
    if (isReason(error, 'NotFound') || isReason(error, 'MethodNotAllowed')) return;
    tally.deletionErrors.push(messageOf(error));
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
