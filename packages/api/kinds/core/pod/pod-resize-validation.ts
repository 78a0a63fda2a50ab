/** What `pods/…/resize` may change: cpu and memory of containers and of the pod as a whole, in the same quality of service. */

import type { FieldError } from '../../../errors/field-error.ts';
import { forbiddenField, invalid } from '../../../errors/field-error.ts';
import type * as api from '../../../generated/types.ts';
import type { KubeObject } from '../../../meta/object.ts';
import { equalJson, getOwn, setOwn } from '../../../meta/safe-object.ts';
import { viewAs } from '../../define-kind.ts';
import { isSidecar, qosClass } from '../../pod-state.ts';

const onlySizes = 'only cpu and memory resources are mutable';

type Amounts = Readonly<Record<string, string>> | undefined;

/** `PUT` and `PATCH …/resize`. The rules of the new object are checked elsewhere. */
export function validatePodResize(object: KubeObject, oldObject: KubeObject): FieldError[] {
  const pod = viewAs<api.V1Pod>(object);
  const old = viewAs<api.V1Pod>(oldObject);
  const spec = pod.spec ?? { containers: [] };
  const oldSpec = old.spec ?? { containers: [] };
  if (getOwn(oldObject.metadata.annotations, 'kubernetes.io/config.mirror') !== undefined) {
    return [forbiddenField('[]', 'static pods cannot be resized')];
  }
  if (oldSpec.os?.name === 'windows') return [forbiddenField('[]', 'windows pods cannot be resized')];
  const errors: FieldError[] = [];
  if ((old.status?.qosClass ?? qosClass(oldSpec)) !== qosClass(spec)) {
    errors.push(invalid('spec', pod.status?.qosClass ?? '', 'Pod QOS Class may not change as a result of resizing'));
  }
  // A node that can resize shows the resources of what it runs; without anything running nobody knows.
  const running = (old.status?.containerStatuses ?? []).find(({ state }) => state?.running != null);
  if (running !== undefined && running.resources == null) {
    errors.push(forbiddenField('spec', 'Pod running on node without support for resize'));
  }
  errors.push(...wholePodErrors(spec.resources, oldSpec.resources));
  const order = orderErrors(spec, oldSpec);
  if (order.length > 0) return [...errors, ...order];
  for (const list of ['initContainers', 'containers'] as const) {
    (spec[list] ?? []).forEach((container, i) => {
      errors.push(...removalErrors(container, oldSpec[list]?.[i], `spec.${list}[${i}].resources`));
    });
  }
  (spec.containers ?? []).forEach((container, i) => {
    if (!sameBesideSizes(container, oldSpec.containers?.[i])) errors.push(forbiddenField('spec', onlySizes));
  });
  (spec.initContainers ?? []).forEach((container, i) => {
    const before = oldSpec.initContainers?.[i];
    const path = `spec.initContainers[${i}]`;
    if (!sameBesideSizes(container, before)) {
      errors.push(forbiddenField(path, 'only cpu and memory resources for init or sidecar containers are mutable'));
    }
    const restarts = (container.resizePolicy ?? []).some(({ restartPolicy }) => restartPolicy === 'RestartContainer');
    if (restarts && !isSidecar(container) && !equalJson(container, before)) {
      errors.push(forbiddenField(path, 'non-sidecar init containers with a resize policy of RestartContainer cannot be resized'));
    }
  });
  return errors;
}

/** The resources of the pod as a whole may come and change, but not go. */
function wholePodErrors(resources: api.V1ResourceRequirements | undefined, old: api.V1ResourceRequirements | undefined): FieldError[] {
  if (!hasAmounts(resources) && !hasAmounts(old)) return [];
  if (resources === undefined) return [forbiddenField('spec.resources', 'pod-level resources cannot be removed')];
  const errors = (['requests', 'limits'] as const).flatMap((list) => {
    const removed = Object.keys(old?.[list] ?? {}).some((name) => getOwn(resources[list], name) === undefined);
    return removed ? [forbiddenField(`spec.resources.${list}`, `pod-level resource ${list} cannot be removed`)] : [];
  });
  const same = (['requests', 'limits'] as const).every((list) => equalJson(withSizesOf(resources[list], old?.[list]), old?.[list] ?? {}));
  return same ? errors : [...errors, forbiddenField('spec', `${onlySizes} at pod-level`)];
}

function hasAmounts(resources: api.V1ResourceRequirements | undefined): boolean {
  return Object.keys({ ...resources?.requests, ...resources?.limits }).length > 0;
}

function orderErrors(spec: api.V1PodSpec, old: api.V1PodSpec): FieldError[] {
  return (['containers', 'initContainers'] as const).flatMap((list) => {
    const names = (of: api.V1PodSpec): readonly string[] => (of[list] ?? []).map(({ name }) => name);
    const before = names(old);
    const after = names(spec);
    if (before.length !== after.length) return [forbiddenField(`spec.${list}`, `${list} may not be added or removed on resize`)];
    return before.flatMap((name, i) =>
      after[i] === name ? [] : [forbiddenField(`spec.${list}[${i}].name`, `${list} may not be renamed or reordered on resize`)],
    );
  });
}

function removalErrors({ resources }: api.V1Container, old: api.V1Container | undefined, path: string): FieldError[] {
  return (['requests', 'limits'] as const).flatMap((list) => {
    const removed = Object.keys(old?.resources?.[list] ?? {}).some((name) => getOwn(resources?.[list], name) === undefined);
    return removed ? [forbiddenField(`${path}.${list}`, `resource ${list} cannot be removed`)] : [];
  });
}

function sameBesideSizes(container: api.V1Container, old: api.V1Container | undefined): boolean {
  const restored = (list: 'requests' | 'limits'): object => withSizesOf(container.resources?.[list], old?.resources?.[list]);
  const rest = (of: api.V1Container | undefined): object => ({ ...of, resources: { ...of?.resources, requests: {}, limits: {} } });
  return (
    equalJson(rest(container), rest(old)) &&
    equalJson(restored('requests'), old?.resources?.requests ?? {}) &&
    equalJson(restored('limits'), old?.resources?.limits ?? {})
  );
}

/** The amounts with cpu and memory as they were. */
function withSizesOf(amounts: Amounts, old: Amounts): object {
  const result: Record<string, string> = {};
  for (const name of Object.keys({ ...amounts, ...old })) {
    const amount = getOwn(name === 'cpu' || name === 'memory' ? old : amounts, name);
    if (amount !== undefined) setOwn(result, name, amount);
  }
  return result;
}
