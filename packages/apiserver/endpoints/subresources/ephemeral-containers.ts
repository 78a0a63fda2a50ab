import { type FieldError, forbiddenField } from '@coffer/api/errors/field-error';
import type { V1EphemeralContainer } from '@coffer/api/generated/types';
import type { KindDefinition } from '@coffer/api/kinds/kind';
import type { KubeObject } from '@coffer/api/meta/object';
import { equalJson } from '@coffer/api/meta/safe-object';
import { podSpec } from '../../registry/core/pod-strategy.ts';
import { countGeneration } from '../../registry/generic/generation.ts';
import type { UpdateRules } from '../../registry/generic/strategy.ts';

const path = 'spec.ephemeralContainers';

/** `pods/…/ephemeralcontainers`: adds debugging containers to a pod; those that are there neither change nor go. */
export function ephemeralContainersRules(kind: KindDefinition): UpdateRules {
  return {
    prepareForUpdate(object, old) {
      const { ephemeralContainers } = podSpec(object);
      const { name, namespace, uid, resourceVersion, managedFields } = object.metadata;
      for (const field of Object.keys(object)) if (!Object.hasOwn(old, field)) delete object[field];
      for (const field of Object.keys(old)) object[field] = old[field];
      object.metadata = { ...old.metadata };
      for (const [field, value] of Object.entries({ name, namespace, uid, resourceVersion, managedFields })) {
        if (value !== undefined) (object.metadata as Record<string, unknown>)[field] = value;
      }
      const { ephemeralContainers: _old, ...spec } = podSpec(old);
      object.spec = ephemeralContainers === undefined ? spec : { ...spec, ephemeralContainers };
      countGeneration(object, old);
    },
    validateUpdate: (object, old) => [...kind.validate(object), ...changeErrors(object, old)],
    warnings: (object, old) => kind.warnings(object, old),
    allowUnconditionalUpdate: true,
    allowCreateOnUpdate: false,
  };
}

function changeErrors(object: KubeObject, old: KubeObject): FieldError[] {
  const now = containersOf(object);
  const before = containersOf(old);
  return before.flatMap((container) => {
    const same = now.find((candidate) => candidate.name === container.name);
    if (same === undefined) return removed([container]);
    if (equalJson(same, container)) return [];
    return [forbiddenField(path, `existing ephemeral containers ${JSON.stringify(container.name)} may not be changed\n`)];
  });
}

function removed(containers: readonly V1EphemeralContainer[]): FieldError[] {
  return containers.map((c) => forbiddenField(path, `existing ephemeral containers ${JSON.stringify(c.name)} may not be removed\n`));
}

function containersOf(pod: KubeObject): readonly V1EphemeralContainer[] {
  return podSpec(pod).ephemeralContainers ?? [];
}
