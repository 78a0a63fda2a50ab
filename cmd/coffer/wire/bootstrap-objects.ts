import type { Handler } from '@coffer/base/http/handler';
import type { ResourceStore } from '@coffer/storage/store/store';
import { writeAsServer } from './write-as-server.ts';

const systemNamespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

/** Creates the namespaces that every cluster has, where they are missing. */
export async function ensureSystemNamespaces(handler: Handler, namespaces: ResourceStore): Promise<void> {
  const missing = systemNamespaces.filter((name) => namespaces.get('', name) === undefined);
  await Promise.all(
    missing.map((name) => writeAsServer(handler, '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }, false)),
  );
}
