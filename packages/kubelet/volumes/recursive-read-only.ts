/** Which read-only mounts are read-only with everything that is mounted below them. Pure; upstream's rules and texts. */
import type { V1VolumeMount } from '@coffer/api/generated/types';
import type { RuntimeHandler } from '@coffer/cri/runtime/container-runtime';
import type { Pod } from '../types.ts';

/** Whether the handler that runs the pod can make such mounts. Of a pod with a RuntimeClass every handler has to. */
export function mountsRecursivelyReadOnly({ spec }: Pod, handlers: readonly RuntimeHandler[]): boolean {
  const named = spec.runtimeClassName !== undefined && spec.runtimeClassName !== '';
  const candidates = named ? handlers : handlers.filter(({ name }) => name === '');
  return candidates.length > 0 && candidates.every(({ recursiveReadOnlyMounts }) => recursiveReadOnlyMounts);
}

/** Whether this mount is one; throws when it has to be and cannot. */
export function isRecursivelyReadOnly(mount: V1VolumeMount, supported: boolean): boolean {
  const mode = mount.recursiveReadOnly ?? 'Disabled';
  if (mode === 'Disabled') return false;
  const fail = (why: string): Error =>
    new Error(`volume ${JSON.stringify(mount.name)} requested recursive read-only mode, but it is ${why}`);
  if (mount.readOnly !== true) throw fail('not read-only');
  if (mount.mountPropagation !== undefined && mount.mountPropagation !== 'None') {
    throw fail(`not compatible with propagation ${JSON.stringify(mount.mountPropagation)}`);
  }
  if (mode === 'Enabled' && !supported) throw fail('not supported by the runtime');
  return supported;
}
