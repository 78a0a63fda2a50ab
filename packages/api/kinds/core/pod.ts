/** Pod: puts together defaults, validation, warnings and table of the folder `pod/`. */

import type { FieldError } from '../../errors/field-error.ts';
import { forbiddenField } from '../../errors/field-error.ts';
import type { V1Pod } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { isRecord } from '../../meta/safe-object.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { validateImageIsTrimmed } from './pod/container-validation.ts';
import { validatePodAnnotations } from './pod/pod-annotations.ts';
import type { Draft } from './pod/pod-defaults.ts';
import { applyPodDefaults, applyPodSpecDefaults, useServiceAccountAlias } from './pod/pod-defaults.ts';
import { validatePodSpec } from './pod/pod-spec-validation.ts';
import { podTable } from './pod/pod-table.ts';
import { validatePodStatusUpdate, validatePodUpdate } from './pod/pod-update-validation.ts';
import { nameWarnings, podWarnings } from './pod/pod-warnings.ts';
import { validateProfileAnnotations } from './pod/profile-annotations.ts';

export const pod = defineKind('', 'pods', {
  schema: 'io.k8s.api.core.v1.Pod',
  nameSyntax: 'dns-subdomain',
  applyDefaults,
  normalize: align,
  validate,
  validateCreate,
  validateUpdate: validatePodUpdate,
  updateOrder: ['meta-update', 'meta', 'object', 'update'],
  validateStatusUpdate: validatePodStatusUpdate,
  // Pods are mostly changed by programs; evaluating warnings would cost more than it helps.
  warnings: (object, old) => {
    if (old !== undefined) return [];
    return [...nameWarnings(object, "the Pod's hostname"), ...podWarnings(specOf(object), object.metadata, '')];
  },
  selectableFields,
  hasStatus: true,
  hasGeneration: true,
  table: podTable,
});

function applyDefaults(object: KubeObject): void {
  if (!isRecord(object.spec)) object.spec = {};
  const spec = object.spec as Draft<NonNullable<V1Pod['spec']>>;
  applyPodSpecDefaults(spec);
  applyPodDefaults(spec);
}

/** Fields that say the same are made equal: both names of the account, both forms of the address (there the older field wins). */
function align(object: KubeObject): void {
  if (isRecord(object.spec)) useServiceAccountAlias(object.spec as Draft<NonNullable<V1Pod['spec']>>);
  const { status } = object;
  if (!isRecord(status)) return;
  const list = Array.isArray(status.podIPs) ? status.podIPs : [];
  const first: unknown = isRecord(list[0]) ? list[0].ip : undefined;
  if (typeof status.podIP === 'string' && status.podIP !== '') {
    if (first !== status.podIP) status.podIPs = [{ ip: status.podIP }];
  } else if (typeof first === 'string' && first !== '') {
    status.podIP = first;
  }
}

function validate(object: KubeObject): FieldError[] {
  const spec = specOf(object);
  const errors = [...validatePodAnnotations(object), ...validatePodSpec(spec, object.metadata, 'spec')];
  if ((spec.serviceAccountName ?? '') === '') {
    (spec.volumes ?? []).forEach((volume, i) => {
      (volume.projected?.sources ?? []).forEach((source, j) => {
        if (source.serviceAccountToken == null) return;
        const path = `spec.volumes[${i}].projected.sources[${j}].serviceAccountToken`;
        errors.push(forbiddenField(path, 'must not be specified when serviceAccountName is not set'));
      });
    });
  }
  (spec.containers ?? []).forEach((container, i) => {
    errors.push(...validateImageIsTrimmed(container, `spec.containers[${i}]`));
  });
  (spec.initContainers ?? []).forEach((container, i) => {
    errors.push(...validateImageIsTrimmed(container, `spec.initContainers[${i}]`));
  });
  return errors;
}

function validateCreate(object: KubeObject): FieldError[] {
  const spec = specOf(object);
  const errors: FieldError[] = [];
  if ((spec.ephemeralContainers ?? []).length > 0) errors.push(forbiddenField('spec.ephemeralContainers', 'cannot be set on create'));
  if ((spec.nodeName ?? '') !== '' && (spec.schedulingGates ?? []).length > 0) {
    errors.push(forbiddenField('spec.nodeName', 'cannot be set until all schedulingGates have been cleared'));
  }
  return [...errors, ...validateProfileAnnotations(spec, object.metadata, 'spec')];
}

function selectableFields(object: KubeObject): Record<string, string> {
  const { spec, status } = viewAs<V1Pod>(object);
  return {
    'spec.nodeName': spec?.nodeName ?? '',
    'spec.restartPolicy': spec?.restartPolicy ?? '',
    'spec.schedulerName': spec?.schedulerName ?? '',
    'spec.serviceAccountName': spec?.serviceAccountName ?? '',
    'spec.hostNetwork': spec?.hostNetwork === true ? 'true' : 'false',
    'status.phase': status?.phase ?? '',
    'status.podIP': status?.podIPs?.[0]?.ip ?? status?.podIP ?? '',
    'status.nominatedNodeName': status?.nominatedNodeName ?? '',
  };
}

function specOf(object: KubeObject): NonNullable<V1Pod['spec']> {
  return viewAs<V1Pod>(object).spec ?? { containers: [] };
}
