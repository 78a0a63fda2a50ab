import type { KindDefinition } from '@coffer/api/kinds/kind';
import { statusErrors } from '@coffer/api/kinds/validate-object';
import type { KubeObject } from '@coffer/api/meta/object';
import { isRecord } from '@coffer/api/meta/safe-object';
import type { UpdateRules } from '../../registry/generic/strategy.ts';

/** `…/status`: writes `status`, and of the metadata what its writers may change. */
export function statusRulesFor(kind: KindDefinition): UpdateRules {
  const { group, resource } = kind.resource;
  return {
    prepareForUpdate(object, old) {
      keepAllButStatus(object, old);
      if (group === '' && resource === 'pods') keepPodFields(object, old);
      if (group === 'apps' && resource === 'deployments') keepLabels(object, old);
    },
    validateUpdate: (object, old) => statusErrors(kind, object, old),
    allowUnconditionalUpdate: true,
    allowCreateOnUpdate: false,
  };
}

const written: ReadonlySet<string> = new Set(['kind', 'apiVersion', 'metadata', 'status']);

function keepAllButStatus(object: KubeObject, old: KubeObject): void {
  for (const field of Object.keys(object)) if (!written.has(field) && !Object.hasOwn(old, field)) delete object[field];
  for (const field of Object.keys(old)) if (!written.has(field)) object[field] = old[field];
}

/** Kubelets have corrupted owner references through their status writes, and a deletion is not theirs to undo. */
function keepPodFields(object: KubeObject, old: KubeObject): void {
  const { metadata } = object;
  const { ownerReferences } = old.metadata;
  if (ownerReferences === undefined) delete metadata.ownerReferences;
  else metadata.ownerReferences = ownerReferences;
  const { qosClass } = isRecord(old.status) ? old.status : {};
  if (qosClass !== undefined) object.status = { ...(isRecord(object.status) ? object.status : {}), qosClass };
}

function keepLabels(object: KubeObject, old: KubeObject): void {
  if (old.metadata.labels === undefined) delete object.metadata.labels;
  else object.metadata.labels = old.metadata.labels;
}
