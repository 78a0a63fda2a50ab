/** Pod templates inside other objects: defaults, validation, warnings and the columns that summarise them. */

import type { FieldError } from '../errors/field-error.ts';
import { forbiddenField, invalid, notSupported } from '../errors/field-error.ts';
import type { V1Container, V1LabelSelector, V1PodTemplateSpec } from '../generated/types.ts';
import type { KubeObject, ObjectMeta } from '../meta/object.ts';
import { isRecord } from '../meta/safe-object.ts';
import { fromLabelSelector } from '../selectors/labels.ts';
import { validateAnnotations, validateLabelSelector, validateLabels } from '../validation/object-meta.ts';
import type { Draft } from './core/pod/pod-defaults.ts';
import { applyPodSpecDefaults } from './core/pod/pod-defaults.ts';
import { validatePodSpec } from './core/pod/pod-spec-validation.ts';
import { nameWarnings, podWarnings } from './core/pod/pod-warnings.ts';

type PodSpec = NonNullable<V1PodTemplateSpec['spec']>;
const emptySpec: PodSpec = { containers: [] };

/** Defaults of `spec.template`, which is made when absent. */
export function applyTemplateDefaults(spec: Record<string, unknown>): void {
  const template = isRecord(spec.template) ? spec.template : {};
  spec.template = template;
  if (!isRecord(template.spec)) template.spec = {};
  applyPodSpecDefaults(template.spec as Draft<PodSpec>);
}

/** A template on its own. Ephemeral containers are for running pods. */
export function validateTemplate(template: V1PodTemplateSpec, path: string): FieldError[] {
  const errors = [
    ...validateLabels(template.metadata?.labels, `${path}.labels`),
    ...validateAnnotations(template.metadata?.annotations, `${path}.annotations`),
    ...validatePodSpec(template.spec ?? emptySpec, undefined, `${path}.spec`),
  ];
  if ((template.spec?.ephemeralContainers ?? []).length > 0) {
    errors.push(forbiddenField(`${path}.spec.ephemeralContainers`, 'ephemeral containers not allowed in pod template'));
  }
  return errors;
}

/** The template of pods that are kept running: its labels fit the selector, and its pods restart. */
export function validateReplicatedTemplate(template: V1PodTemplateSpec, selector: V1LabelSelector | undefined, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (validateLabelSelector(selector, '').length > 0) return [];
  if (!fromLabelSelector(selector).matches(template.metadata?.labels ?? {})) {
    const labels = template.metadata?.labels ?? null;
    errors.push(invalid(`${path}.metadata.labels`, labels, '`selector` does not match template `labels`'));
  }
  errors.push(...validateTemplate(template, path));
  const { restartPolicy, activeDeadlineSeconds } = template.spec ?? emptySpec;
  if (restartPolicy !== 'Always') errors.push(notSupported(`${path}.spec.restartPolicy`, restartPolicy ?? '', ['Always']));
  if (activeDeadlineSeconds != null) {
    errors.push(forbiddenField(`${path}.spec.activeDeadlineSeconds`, 'activeDeadlineSeconds in ReplicaSet is not Supported'));
  }
  return errors;
}

/** Warnings of a new or changed object's template. */
export function templateWarnings(object: KubeObject, old: KubeObject | undefined): string[] {
  const template = templateOf(object);
  if (old !== undefined && JSON.stringify(old.spec) === JSON.stringify(object.spec)) return [];
  const ofName = old === undefined ? nameWarnings(object, 'Pod names and hostnames') : [];
  return [...ofName, ...podWarnings(template.spec ?? emptySpec, template.metadata as ObjectMeta | undefined, 'spec.template.')];
}

/** Names and images of containers, as two cells. */
export function containerCells(containers: readonly V1Container[]): [names: string, images: string] {
  return [containers.map((container) => container.name).join(','), containers.map((container) => container.image ?? '').join(',')];
}

export function templateOf(object: KubeObject): V1PodTemplateSpec {
  const { spec } = object;
  return isRecord(spec) && isRecord(spec.template) ? (spec.template as V1PodTemplateSpec) : {};
}

/** A selector as a cell: `<none>` when it selects everything. */
export function selectorCell(selector: V1LabelSelector | undefined): string {
  if (validateLabelSelector(selector, '').length > 0) return '<error>';
  return fromLabelSelector(selector).toString() || '<none>';
}
