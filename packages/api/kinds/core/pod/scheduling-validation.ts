/** Where a pod may run: tolerations, affinity, spreading, gates. */

import type { FieldError } from '../../../errors/field-error.ts';
import { duplicate, forbiddenField, invalid, notSupported, required } from '../../../errors/field-error.ts';
import type * as api from '../../../generated/types.ts';
import { labelValueProblems, nameRules, qualifiedNameProblems } from '../../../validation/names.ts';
import { invalidEach, validateLabelSelector } from '../../../validation/object-meta.ts';

const taintEffects = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];

export function validateTaintEffect(effect: string, path: string): FieldError[] {
  return taintEffects.includes(effect) ? [] : [notSupported(path, effect, taintEffects)];
}

export function validateTolerations(tolerations: readonly api.V1Toleration[], path: string): FieldError[] {
  return tolerations.flatMap((toleration, i) => {
    const at = `${path}[${i}]`;
    const { key = '', operator = '', value = '', effect = '' } = toleration;
    const errors: FieldError[] = key === '' ? [] : invalidEach(`${at}.key`, key, qualifiedNameProblems(key));
    if (key === '' && operator !== 'Exists') {
      const detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"';
      errors.push(invalid(`${at}.operator`, operator, detail));
    }
    if (toleration.tolerationSeconds != null && effect !== 'NoExecute') {
      errors.push(invalid(`${at}.effect`, effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"));
    }
    if (operator === 'Equal' || operator === '') {
      const problems = labelValueProblems(value);
      if (problems.length > 0) errors.push(invalid(`${at}.operator`, value, problems.join(';')));
    } else if (operator === 'Exists') {
      if (value !== '') errors.push(invalid(`${at}.operator`, value, "value must be empty when `operator` is 'Exists'"));
    } else {
      // The comparisons are known, but switched off.
      const known = operator === 'Lt' || operator === 'Gt' ? ['Equal', 'Exists', 'Lt', 'Gt'] : ['Equal', 'Exists'];
      errors.push(notSupported(`${at}.operator`, operator, known));
    }
    if (effect !== '') errors.push(...validateTaintEffect(effect, `${at}.effect`));
    return errors;
  });
}

export function validateAffinity(affinity: api.V1Affinity | undefined, path: string): FieldError[] {
  if (affinity == null) return [];
  const errors: FieldError[] = [];
  const { nodeAffinity, podAffinity, podAntiAffinity } = affinity;
  if (nodeAffinity != null) errors.push(...validateNodeAffinity(nodeAffinity, `${path}.nodeAffinity`));
  if (podAffinity != null) errors.push(...validatePodAffinity(podAffinity, `${path}.podAffinity`));
  if (podAntiAffinity != null) errors.push(...validatePodAffinity(podAntiAffinity, `${path}.podAntiAffinity`));
  return errors;
}

function validateNodeAffinity(affinity: api.V1NodeAffinity, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const needed = affinity.requiredDuringSchedulingIgnoredDuringExecution;
  if (needed != null) {
    const at = `${path}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms`;
    const terms = needed.nodeSelectorTerms ?? [];
    if (terms.length === 0) errors.push(required(at, 'must have at least one node selector term'));
    errors.push(...terms.flatMap((term, i) => validateTerm(term, `${at}[${i}]`, true)));
  }
  (affinity.preferredDuringSchedulingIgnoredDuringExecution ?? []).forEach((term, i) => {
    const at = `${path}.preferredDuringSchedulingIgnoredDuringExecution[${i}]`;
    errors.push(...validateWeight(term.weight ?? 0, `${at}.weight`));
    errors.push(...validateTerm(term.preference ?? {}, `${at}.preference`, false));
  });
  return errors;
}

function validateWeight(weight: number, path: string): FieldError[] {
  return weight <= 0 || weight > 100 ? [invalid(path, weight, 'must be in the range 1-100')] : [];
}

function validateTerm(term: api.V1NodeSelectorTerm, path: string, strictValues: boolean): FieldError[] {
  return [
    ...(term.matchExpressions ?? []).flatMap((r, i) => validateNodeRequirement(r, `${path}.matchExpressions[${i}]`, strictValues)),
    ...(term.matchFields ?? []).flatMap((r, i) => validateFieldRequirement(r, `${path}.matchFields[${i}]`)),
  ];
}

function validateNodeRequirement(requirement: api.V1NodeSelectorRequirement, path: string, strictValues: boolean): FieldError[] {
  const errors: FieldError[] = [];
  const values = requirement.values ?? [];
  const key = requirement.key ?? '';
  switch (requirement.operator) {
    case 'In':
    case 'NotIn':
      if (values.length === 0) errors.push(required(`${path}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
      break;
    case 'Exists':
    case 'DoesNotExist':
      if (values.length > 0) {
        errors.push(forbiddenField(`${path}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
      }
      break;
    case 'Gt':
    case 'Lt':
      if (values.length !== 1) {
        errors.push(required(`${path}.values`, "must be specified single value when `operator` is 'Lt' or 'Gt'"));
      }
      break;
    default:
      errors.push(invalid(`${path}.operator`, requirement.operator ?? '', 'not a valid selector operator'));
  }
  errors.push(...invalidEach(`${path}.key`, key, qualifiedNameProblems(key)));
  if (strictValues) errors.push(...values.flatMap((value, i) => invalidEach(`${path}.values[${i}]`, value, labelValueProblems(value))));
  return errors;
}

function validateFieldRequirement(requirement: api.V1NodeSelectorRequirement, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const values = requirement.values ?? [];
  if (requirement.operator === 'In' || requirement.operator === 'NotIn') {
    if (values.length !== 1) {
      errors.push(required(`${path}.values`, "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"));
    }
  } else {
    errors.push(invalid(`${path}.operator`, requirement.operator ?? '', 'not a valid selector operator'));
  }
  if (requirement.key !== 'metadata.name') {
    errors.push(invalid(`${path}.key`, requirement.key ?? '', 'not a valid field selector key'));
  } else {
    errors.push(...values.flatMap((value, i) => invalidEach(`${path}.values[${i}]`, value, nameRules['dns-subdomain'](value, false))));
  }
  return errors;
}

function validatePodAffinity(affinity: api.V1PodAffinity | api.V1PodAntiAffinity, path: string): FieldError[] {
  const errors = (affinity.requiredDuringSchedulingIgnoredDuringExecution ?? []).flatMap((term, i) =>
    validateAffinityTerm(term, `${path}.requiredDuringSchedulingIgnoredDuringExecution[${i}]`),
  );
  (affinity.preferredDuringSchedulingIgnoredDuringExecution ?? []).forEach((weighted, i) => {
    const at = `${path}.preferredDuringSchedulingIgnoredDuringExecution[${i}]`;
    errors.push(...validateWeight(weighted.weight ?? 0, `${at}.weight`));
    if (weighted.podAffinityTerm != null) errors.push(...validateAffinityTerm(weighted.podAffinityTerm, `${at}.podAffinityTerm`));
  });
  return errors;
}

function validateAffinityTerm(term: api.V1PodAffinityTerm, path: string): FieldError[] {
  const { matchLabelKeys = [], mismatchLabelKeys = [], topologyKey = '' } = term as Partial<api.V1PodAffinityTerm>;
  const errors = [
    ...validateLabelSelector(term.labelSelector, `${path}.labelSelector`),
    ...validateLabelSelector(term.namespaceSelector, `${path}.namespaceSelector`),
  ];
  for (const name of term.namespaces ?? []) {
    errors.push(...invalidEach(`${path}.namespace`, name, nameRules['dns-label'](name, false)));
  }
  errors.push(...validateMergedKeys(matchLabelKeys, mismatchLabelKeys, term.labelSelector, path));
  if (topologyKey === '') errors.push(required(`${path}.topologyKey`, 'can not be empty'));
  errors.push(...invalidEach(`${path}.topologyKey`, topologyKey, qualifiedNameProblems(topologyKey)));
  return errors;
}

/**
 * The keys of a new pod that has such labels are in the selector by now, as the last expressions: one that is there twice was also
 * asked for by the user.
 */
function validateMergedKeys(
  matchLabelKeys: readonly string[],
  mismatchLabelKeys: readonly string[],
  selector: api.V1LabelSelector | undefined,
  path: string,
): FieldError[] {
  const errors = [
    ...validateLabelKeys(matchLabelKeys, selector, `${path}.matchLabelKeys`),
    ...validateLabelKeys(mismatchLabelKeys, selector, `${path}.mismatchLabelKeys`),
  ];
  const labels = new Set(Object.keys(selector?.matchLabels ?? {}));
  for (const { key } of selector?.matchExpressions ?? []) {
    const index = matchLabelKeys.lastIndexOf(key);
    if (index >= 0 && labels.has(key)) errors.push(invalid(`${path}[${index}]`, key, 'exists in both matchLabelKeys and labelSelector'));
    labels.add(key);
  }
  matchLabelKeys.forEach((key, i) => {
    if (!mismatchLabelKeys.includes(key)) return;
    errors.push(invalid(`${path}.matchLabelKeys[${i}]`, key, 'exists in both matchLabelKeys and mismatchLabelKeys'));
  });
  return errors;
}

function validateLabelKeys(keys: readonly string[], selector: api.V1LabelSelector | undefined, path: string): FieldError[] {
  if (keys.length === 0) return [];
  if (selector == null) return [forbiddenField(path, 'must not be specified when labelSelector is not set')];
  return keys.flatMap((key, i) => invalidEach(`${path}[${i}]`, key, qualifiedNameProblems(key)));
}

export function validateTopologySpread(constraints: readonly api.V1TopologySpreadConstraint[], path: string): FieldError[] {
  const errors: FieldError[] = [];
  constraints.forEach((constraint, i) => {
    const at = `${path}[${i}]`;
    const { maxSkew = 0, topologyKey = '', whenUnsatisfiable = '', minDomains } = constraint as Partial<api.V1TopologySpreadConstraint>;
    if (maxSkew <= 0) errors.push(invalid(`${at}.maxSkew`, maxSkew, 'must be greater than zero'));
    if (topologyKey === '') errors.push(required(`${at}.topologyKey`, 'can not be empty'));
    const actions = ['DoNotSchedule', 'ScheduleAnyway'];
    if (!actions.includes(whenUnsatisfiable)) errors.push(notSupported(`${at}.whenUnsatisfiable`, whenUnsatisfiable, actions));
    const repeated = constraints.slice(i + 1).some((c) => c.topologyKey === topologyKey && c.whenUnsatisfiable === whenUnsatisfiable);
    if (repeated) errors.push(duplicate(`${at}.{topologyKey, whenUnsatisfiable}`, `{${topologyKey}, ${whenUnsatisfiable}}`));
    if (minDomains != null) {
      if (minDomains <= 0) errors.push(invalid(`${at}.minDomains`, minDomains, 'must be greater than zero'));
      if (whenUnsatisfiable !== 'DoNotSchedule') {
        const detail = `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${whenUnsatisfiable}`;
        errors.push(invalid(`${at}.minDomains`, minDomains, detail));
      }
    }
    for (const field of ['nodeAffinityPolicy', 'nodeTaintsPolicy'] as const) {
      const policy = constraint[field];
      if (policy != null && !['Honor', 'Ignore'].includes(policy)) errors.push(notSupported(`${at}.${field}`, policy, ['Honor', 'Ignore']));
    }
    errors.push(...validateMergedKeys(constraint.matchLabelKeys ?? [], [], constraint.labelSelector, at));
    errors.push(...validateLabelSelector(constraint.labelSelector, `${at}.labelSelector`));
  });
  return errors;
}

export function validateReadinessGates(gates: readonly api.V1PodReadinessGate[], path: string): FieldError[] {
  return gates.flatMap(({ conditionType = '' }: Partial<api.V1PodReadinessGate>, i) =>
    invalidEach(`${path}[${i}].conditionType`, conditionType, qualifiedNameProblems(conditionType)),
  );
}

export function validateSchedulingGates(gates: readonly api.V1PodSchedulingGate[], path: string): FieldError[] {
  const seen = new Set<string>();
  return gates.flatMap(({ name = '' }: Partial<api.V1PodSchedulingGate>, i) => {
    const errors = invalidEach(`${path}[${i}]`, name, qualifiedNameProblems(name));
    if (seen.has(name)) errors.push(duplicate(`${path}[${i}]`, name));
    seen.add(name);
    return errors;
  });
}
