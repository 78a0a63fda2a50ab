import type { V1Container } from '@coffer/api/generated/types';
import { validatePodResize } from '@coffer/api/kinds/core/pod/pod-resize-validation';
import type { KindDefinition } from '@coffer/api/kinds/kind';
import { podSpec } from '../../registry/core/pod-strategy.ts';
import { countGeneration } from '../../registry/generic/generation.ts';
import type { UpdateRules } from '../../registry/generic/strategy.ts';
import { restorePod } from './restore-pod.ts';

type Containers = readonly V1Container[];

/** `pods/…/resize`: changes cpu and memory of containers and of the pod as a whole; everything else that was sent is ignored. */
export function resizeRules(kind: KindDefinition): UpdateRules {
  return {
    prepareForUpdate(object, old) {
      const { containers, initContainers = [], resources } = podSpec(object);
      const { containers: oldContainers, initContainers: oldInitContainers = [] } = podSpec(old);
      // Lists of other lengths are kept as they came: validation refuses them.
      if (containers.length !== oldContainers.length || initContainers.length !== oldInitContainers.length) return;
      restorePod(object, old);
      const { resources: _, ...oldSpec } = podSpec(old);
      object.spec = {
        ...oldSpec,
        ...(resources === undefined ? {} : { resources }),
        containers: resized(containers, oldContainers),
        ...(oldInitContainers.length === 0 ? {} : { initContainers: resized(initContainers, oldInitContainers) }),
      };
      countGeneration(object, old);
    },
    validateUpdate: (object, old) => [...kind.validate(object), ...validatePodResize(object, old)],
    allowUnconditionalUpdate: true,
    allowCreateOnUpdate: false,
  };
}

/** The old containers, in the order and with the resources that were sent; unknown ones are left for validation to refuse. */
function resized(sent: Containers, old: Containers): Containers {
  return sent.map((container) => {
    const before = old.find(({ name }) => name === container.name);
    if (before === undefined) return container;
    const { resources: _resources, resizePolicy: _policy, ...rest } = before;
    const { resources, resizePolicy } = container;
    return { ...rest, ...(resources === undefined ? {} : { resources }), ...(resizePolicy === undefined ? {} : { resizePolicy }) };
  });
}
