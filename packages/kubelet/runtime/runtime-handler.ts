/** Which handler of the container runtime a pod asks for: that of its RuntimeClass. */
import { type KubeletApi, resources } from '../deps.ts';
import type { Pod } from '../types.ts';

/** Empty for the runtime's own choice. Rejects when the class is not there. */
export async function runtimeHandlerOf(api: Pick<KubeletApi, 'get'>, pod: Pod): Promise<string> {
  const name = pod.spec.runtimeClassName;
  if (name === undefined || name === '') return '';
  const { handler } = await api.get({ resource: resources.runtimeClasses, namespace: undefined, name });
  return typeof handler === 'string' ? handler : '';
}
