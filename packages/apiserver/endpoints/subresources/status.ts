import type { KindDefinition } from '@coffer/api/kinds/kind';
import { statusErrors } from '@coffer/api/kinds/validate-object';
import type { KubeObject } from '@coffer/api/meta/object';
import type { UpdateRules } from '../../registry/generic/strategy.ts';
import { keepPodFields, podStatusWarnings } from './pod-status.ts';

/** `…/status`: writes `status`, and of the metadata what its writers may change. */
export function statusRulesFor(kind: KindDefinition): UpdateRules {
  const { group, resource } = kind.resource;
  const isPod = group === '' && resource === 'pods';
  return {
    prepareForUpdate(object, old) {
      keepAllButStatus(object, old);
      if (isPod) keepPodFields(object, old);
      if (group === 'apps' && resource === 'deployments') keepLabels(object, old);
    },
    validateUpdate: (object, old) => statusErrors(kind, object, old),
    ...(isPod ? { warnings: podStatusWarnings } : {}),
    allowUnconditionalUpdate: true,
    allowCreateOnUpdate: false,
  };
}

const written: ReadonlySet<string> = new Set(['kind', 'apiVersion', 'metadata', 'status']);

function keepAllButStatus(object: KubeObject, old: KubeObject): void {
  for (const field of Object.keys(object)) if (!written.has(field) && !Object.hasOwn(old, field)) delete object[field];
  for (const field of Object.keys(old)) if (!written.has(field)) object[field] = old[field];
}

function keepLabels(object: KubeObject, old: KubeObject): void {
  if (old.metadata.labels === undefined) delete object.metadata.labels;
  else object.metadata.labels = old.metadata.labels;
}
