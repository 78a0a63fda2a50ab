/** The kubelet that a request for a pod or a node goes on to. A node that is only starting is waited for. */
import { internalError } from '@coffer/api/errors/status-error';
import type { NodeApi } from '@coffer/api/node/node-api';

/** Resolves to undefined when the node is not known or cannot be reached. */
export type NodeLookup = (nodeName: string) => NodeApi | undefined | Promise<NodeApi | undefined>;

export interface ConnectDeps {
  readonly nodeApiFor: NodeLookup;
}

/** Rejects with StatusError 500 when there is no way to the node. */
export async function reachNode(deps: ConnectDeps, nodeName: string): Promise<NodeApi> {
  const node = await deps.nodeApiFor(nodeName);
  if (node === undefined) throw internalError(`node ${JSON.stringify(nodeName)} cannot be reached`);
  return node;
}
