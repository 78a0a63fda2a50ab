import { systemPriorityClasses } from '@coffer/api/kinds/scheduling/priority-class';
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

/** Creates the PriorityClasses that every cluster has, where they are missing. */
export async function ensureSystemPriorityClasses(handler: Handler, classes: ResourceStore): Promise<void> {
  const missing = systemPriorityClasses.filter(({ name }) => classes.get('', name) === undefined);
  await Promise.all(
    missing.map(({ name, ...fields }) => {
      const object = { apiVersion: 'scheduling.k8s.io/v1', kind: 'PriorityClass', metadata: { name }, ...fields };
      return writeAsServer(handler, '/apis/scheduling.k8s.io/v1/priorityclasses', object, false);
    }),
  );
}
