import { nonResourceUrlMatches, type PolicyRule } from './policy-rule.ts';

/**
 * Privilege escalation: which of the rules somebody wants to grant are not covered by the rules he holds (upstream's
 * `validation.Covers`). Returned rules are broken down to one verb each, compacted again for the message.
 */
export function uncoveredRules(held: readonly PolicyRule[], wanted: readonly PolicyRule[]): PolicyRule[] {
  const missing: PolicyRule[] = [];
  for (const rule of wanted) {
    for (const single of breakdown(rule)) {
      if (!held.some((owner) => covers(owner, single))) missing.push(single);
    }
  }
  return compact(missing);
}

/** One rule per verb, group, resource and name (or URL). */
function breakdown(rule: PolicyRule): PolicyRule[] {
  const out: PolicyRule[] = [];
  for (const group of rule.apiGroups ?? []) {
    for (const resource of rule.resources ?? []) {
      for (const verb of rule.verbs) {
        const base = { apiGroups: [group], resources: [resource], verbs: [verb] };
        if (rule.resourceNames && rule.resourceNames.length > 0) {
          for (const name of rule.resourceNames) out.push({ ...base, resourceNames: [name] });
        } else out.push(base);
      }
    }
  }
  for (const url of rule.nonResourceURLs ?? []) for (const verb of rule.verbs) out.push({ nonResourceURLs: [url], verbs: [verb] });
  return out;
}

function covers(owner: PolicyRule, single: PolicyRule): boolean {
  const verb = single.verbs[0] ?? '';
  if (!owner.verbs.includes('*') && !owner.verbs.includes(verb)) return false;
  const url = single.nonResourceURLs?.[0];
  if (url !== undefined) return nonResourceUrlMatches(owner.nonResourceURLs, url);
  return (
    has(owner.apiGroups, single.apiGroups?.[0] ?? '') &&
    coversResource(owner.resources ?? [], single.resources?.[0] ?? '') &&
    ((owner.resourceNames?.length ?? 0) === 0 || (owner.resourceNames ?? []).includes(single.resourceNames?.[0] ?? '\0'))
  );
}

function has(values: readonly string[] | undefined, wanted: string): boolean {
  return values?.some((value) => value === '*' || value === wanted) ?? false;
}

function coversResource(owned: readonly string[], resource: string): boolean {
  if (owned.includes('*') || owned.includes(resource)) return true;
  const slash = resource.indexOf('/');
  return slash >= 0 && owned.includes(`*${resource.slice(slash)}`);
}

/** Merges rules that differ only in their verb, keeping the order of first appearance. */
function compact(rules: readonly PolicyRule[]): PolicyRule[] {
  const byRest = new Map<string, { rule: PolicyRule; verbs: string[] }>();
  for (const rule of rules) {
    const key = JSON.stringify([rule.apiGroups, rule.resources, rule.resourceNames, rule.nonResourceURLs]);
    const entry = byRest.get(key);
    if (!entry) byRest.set(key, { rule, verbs: [...rule.verbs] });
    else if (!entry.verbs.includes(rule.verbs[0] ?? '')) entry.verbs.push(...rule.verbs);
  }
  return [...byRest.values()].map(({ rule, verbs }) => ({ ...rule, verbs }));
}
