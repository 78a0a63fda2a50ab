import type { V1PolicyRule } from '@coffer/api/generated/types';

/** rbac.authorization.k8s.io/v1 PolicyRule, as it lies in Roles and ClusterRoles. */
export type PolicyRule = V1PolicyRule;

/** What a rule is matched against. */
export interface RuleRequest {
  readonly verb: string;
  readonly isResourceRequest: boolean;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  readonly name: string;
  readonly path: string;
}

/** True when `rule` alone allows the request (upstream's RuleAllows). */
export function ruleAllows(rule: PolicyRule, request: RuleRequest): boolean {
  if (!matches(rule.verbs, request.verb)) return false;
  if (!request.isResourceRequest) return nonResourceUrlMatches(rule.nonResourceURLs, request.path);
  const names = rule.resourceNames;
  return (
    matches(rule.apiGroups, request.group) &&
    resourceMatches(rule.resources, request.resource, request.subresource) &&
    (names === undefined || names.length === 0 || names.includes(request.name))
  );
}

function matches(values: readonly string[] | undefined, wanted: string): boolean {
  return values?.some((value) => value === '*' || value === wanted) ?? false;
}

/** `*`, `pods`, `pods/log`, `*`+`/log`. */
export function resourceMatches(resources: readonly string[] | undefined, resource: string, subresource: string): boolean {
  const combined = subresource === '' ? resource : `${resource}/${subresource}`;
  return resources?.some((value) => value === '*' || value === combined || (subresource !== '' && value === `*/${subresource}`)) ?? false;
}

/** Exact path, `*`, or a prefix that ends in `*`. */
export function nonResourceUrlMatches(urls: readonly string[] | undefined, path: string): boolean {
  return urls?.some((url) => url === '*' || url === path || (url.endsWith('*') && path.startsWith(url.slice(0, -1)))) ?? false;
}

/** Go's `%v`-like form that upstream prints when a grant is refused: `{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}`. */
export function formatRule(rule: PolicyRule): string {
  const parts: string[] = [];
  const add = (label: string, values: readonly string[] | undefined) => {
    if (values && values.length > 0) parts.push(`${label}:[${values.map((value) => JSON.stringify(value)).join(', ')}]`);
  };
  add('APIGroups', rule.apiGroups);
  add('Resources', rule.resources);
  add('NonResourceURLs', rule.nonResourceURLs);
  add('ResourceNames', rule.resourceNames);
  add('Verbs', rule.verbs);
  return `{${parts.join(', ')}}`;
}
