/** Deployment: defaults, rolling-update arithmetic, immutable selector, status counters. */

import type { FieldError } from '../../errors/field-error.ts';
import { forbiddenField, invalid, notSupported, required } from '../../errors/field-error.ts';
import type { V1Deployment, V1DeploymentSpec, V1DeploymentStrategy, V1RollingUpdateDeployment } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { isRecord } from '../../meta/safe-object.ts';
import { percentProblems } from '../../validation/names.ts';
import { immutable, invalidEach, nonNegative } from '../../validation/object-meta.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { timeSince } from '../human-duration.ts';
import {
  applyTemplateDefaults,
  containerCells,
  selectorCell,
  templateOf,
  templateWarnings,
  validateReplicatedTemplate,
} from '../pod-template.ts';
import { ageColumn, column, fieldColumn, nameColumn } from '../table-columns.ts';
import { validateCounters, validateSelector } from './replicated.ts';

const statusStruct = 'io.k8s.api.apps.v1.DeploymentStatus';

export const deployment = defineKind('apps', 'deployments', {
  schema: 'io.k8s.api.apps.v1.Deployment',
  nameSyntax: 'dns-subdomain',
  applyDefaults,
  validate,
  validateUpdate: (object, old) => immutable(specOf(object).selector, specOf(old).selector, 'spec.selector'),
  updateOrder: ['meta-update', 'object', 'update'],
  validateStatusUpdate,
  warnings: templateWarnings,
  hasStatus: true,
  hasGeneration: true,
  table: {
    columns: [
      nameColumn,
      column('Ready', 'Number of the pod with ready state'),
      fieldColumn('Up-to-date', statusStruct, 'updatedReplicas'),
      fieldColumn('Available', statusStruct, 'availableReplicas'),
      ageColumn,
      column('Containers', 'Names of each container in the template.', 'string', 1),
      column('Images', 'Images referenced by each container in the template.', 'string', 1),
      column(
        'Selector',
        "Label selector for pods. Existing ReplicaSets whose pods are selected by this will be the ones affected by this deployment. It must match the pod template's labels.",
        'string',
        1,
      ),
    ],
    cells(object, now) {
      const { metadata, status } = viewAs<V1Deployment>(object);
      const spec = specOf(object);
      return [
        metadata?.name ?? '',
        `${status?.readyReplicas ?? 0}/${spec.replicas ?? 0}`,
        status?.updatedReplicas ?? 0,
        status?.availableReplicas ?? 0,
        timeSince(metadata?.creationTimestamp, now),
        ...containerCells(spec.template?.spec?.containers ?? []),
        selectorCell(spec.selector),
      ];
    },
  },
});

function applyDefaults(object: KubeObject): void {
  if (!isRecord(object.spec)) object.spec = {};
  const spec = object.spec as Record<string, unknown>;
  spec.replicas ??= 1;
  const strategy = isRecord(spec.strategy) ? spec.strategy : {};
  spec.strategy = strategy;
  strategy.type ||= 'RollingUpdate';
  if (strategy.type === 'RollingUpdate') {
    const rolling = isRecord(strategy.rollingUpdate) ? strategy.rollingUpdate : {};
    strategy.rollingUpdate = rolling;
    rolling.maxUnavailable ??= '25%';
    rolling.maxSurge ??= '25%';
  }
  spec.revisionHistoryLimit ??= 10;
  spec.progressDeadlineSeconds ??= 600;
  applyTemplateDefaults(spec);
}

function validate(object: KubeObject): FieldError[] {
  const spec = specOf(object);
  const errors = [
    ...nonNegative(spec.replicas ?? 0, 'spec.replicas'),
    ...validateSelector(spec.selector, 'spec.selector'),
    ...validateReplicatedTemplate(templateOf(object), spec.selector, 'spec.template'),
    ...validateStrategy(spec.strategy ?? {}, 'spec.strategy'),
    ...nonNegative(spec.minReadySeconds ?? 0, 'spec.minReadySeconds'),
    ...nonNegative(spec.revisionHistoryLimit ?? 0, 'spec.revisionHistoryLimit'),
  ];
  const deadline = spec.progressDeadlineSeconds;
  if (deadline == null) return errors;
  errors.push(...nonNegative(deadline, 'spec.progressDeadlineSeconds'));
  if (deadline <= (spec.minReadySeconds ?? 0)) {
    errors.push(invalid('spec.progressDeadlineSeconds', deadline, 'must be greater than minReadySeconds'));
  }
  return errors;
}

function validateStrategy(strategy: V1DeploymentStrategy, path: string): FieldError[] {
  const { type = '', rollingUpdate } = strategy;
  switch (type) {
    case 'Recreate':
      if (rollingUpdate == null) return [];
      return [forbiddenField(`${path}.rollingUpdate`, "may not be specified when strategy `type` is 'Recreate'")];
    case 'RollingUpdate':
      if (rollingUpdate == null) return [required(`${path}.rollingUpdate`, 'this should be defaulted and never be nil')];
      return validateRollingUpdate(rollingUpdate, `${path}.rollingUpdate`);
    default: {
      const rolling =
        rollingUpdate == null ? null : { MaxUnavailable: rollingUpdate.maxUnavailable ?? 0, MaxSurge: rollingUpdate.maxSurge ?? 0 };
      return [notSupported(path, { Type: type, RollingUpdate: rolling }, ['Recreate', 'RollingUpdate'])];
    }
  }
}

function validateRollingUpdate(rolling: V1RollingUpdateDeployment, path: string): FieldError[] {
  const { maxUnavailable = 0, maxSurge = 0 } = rolling;
  const errors = [...validateAmount(maxUnavailable, `${path}.maxUnavailable`), ...validateAmount(maxSurge, `${path}.maxSurge`)];
  if (amountOf(maxUnavailable) === 0 && amountOf(maxSurge) === 0) {
    errors.push(invalid(`${path}.maxUnavailable`, maxUnavailable, 'may not be 0 when `maxSurge` is 0'));
  }
  if (typeof maxUnavailable === 'string' && amountOf(maxUnavailable) > 100) {
    errors.push(invalid(`${path}.maxUnavailable`, maxUnavailable, 'must not be greater than 100%'));
  }
  return errors;
}

/** A number or a percentage. */
function validateAmount(amount: number | string, path: string): FieldError[] {
  return typeof amount === 'string' ? invalidEach(path, amount, percentProblems(amount)) : nonNegative(amount, path);
}

/** The number in front of the percent sign, or the number itself; 0 for a text that is no percentage. */
function amountOf(amount: number | string): number {
  if (typeof amount === 'number') return amount;
  return percentProblems(amount).length === 0 ? Number(amount.slice(0, -1)) : 0;
}

function validateStatusUpdate(object: KubeObject, oldObject: KubeObject): FieldError[] {
  const status = viewAs<V1Deployment>(object).status ?? {};
  const fields = [
    'observedGeneration',
    'replicas',
    'updatedReplicas',
    'readyReplicas',
    'availableReplicas',
    'unavailableReplicas',
    'collisionCount',
    'terminatingReplicas',
  ] as const;
  const errors = validateCounters(status, fields, ['updatedReplicas', 'readyReplicas', 'availableReplicas']);
  const before = viewAs<V1Deployment>(oldObject).status?.collisionCount;
  const after = status.collisionCount;
  if (before != null && (after == null || after < before)) {
    errors.push(invalid('status.collisionCount', after ?? 0, 'cannot be decremented'));
  }
  return errors;
}

function specOf(object: KubeObject): Partial<V1DeploymentSpec> {
  return viewAs<V1Deployment>(object).spec ?? {};
}
