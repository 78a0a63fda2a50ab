/** The containers of a pod spec in the order in which rules about all of them report: init, regular, ephemeral. */

import type { V1Container, V1PodSpec } from '../../../generated/types.ts';

/** Each container with its path below `path`, which is the pod spec's. */
export function allContainers(spec: V1PodSpec, path: string): readonly (readonly [container: V1Container, path: string])[] {
  return (['initContainers', 'containers', 'ephemeralContainers'] as const).flatMap((list) =>
    (spec[list] ?? []).map((container, i) => [container, `${path}.${list}[${i}]`] as const),
  );
}
