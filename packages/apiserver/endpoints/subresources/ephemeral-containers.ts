import { validateEphemeralContainersUpdate } from '@coffer/api/kinds/core/pod/pod-update-validation';
import type { KindDefinition } from '@coffer/api/kinds/kind';
import { podSpec } from '../../registry/core/pod-strategy.ts';
import { countGeneration } from '../../registry/generic/generation.ts';
import type { UpdateRules } from '../../registry/generic/strategy.ts';
import { restorePod } from './restore-pod.ts';

/** `pods/…/ephemeralcontainers`: adds debugging containers to a pod; those that are there neither change nor go. */
export function ephemeralContainersRules(kind: KindDefinition): UpdateRules {
  return {
    prepareForUpdate(object, old) {
      const { ephemeralContainers } = podSpec(object);
      restorePod(object, old);
      const { ephemeralContainers: _old, ...spec } = podSpec(old);
      object.spec = ephemeralContainers === undefined ? spec : { ...spec, ephemeralContainers };
      countGeneration(object, old);
    },
    validateUpdate: (object, old) => [...kind.validate(object), ...validateEphemeralContainersUpdate(object, old)],
    allowUnconditionalUpdate: true,
    allowCreateOnUpdate: false,
  };
}
