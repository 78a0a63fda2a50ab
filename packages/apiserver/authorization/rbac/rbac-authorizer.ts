import type { UserInfo } from '@coffer/base/http/handler';
import type { Attributes, Authorizer, Decision } from '../authorizer.ts';
import { type PolicyRule, ruleAllows } from './policy-rule.ts';
import type { Binding, RbacIndex } from './rbac-index.ts';

/** A rule together with the binding that grants it. */
interface GrantedRule {
  readonly rule: PolicyRule;
  readonly reason: string;
}

/** All rules one subject has in one scope, found by resource. */
interface SubjectRules {
  readonly byResource: Map<string, GrantedRule[]>;
  readonly nonResource: GrantedRule[];
  readonly errors: string[];
}

const noRules: SubjectRules = { byResource: new Map(), nonResource: [], errors: [] };

const maxMemoisedDecisions = 20_000;
/** Longer questions are answered and not remembered: clients choose names and paths, memory is ours. */
const maxMemoKeyLength = 1024;

/**
 * RBAC as upstream: additive rules from RoleBindings of the namespace and ClusterRoleBindings. Rules are compiled per subject
 * when first needed and decisions memoised; any change of a role or binding drops both, so it holds for the next request.
 */
export class RbacAuthorizer implements Authorizer {
  readonly #index: RbacIndex;
  #generation = -1;
  readonly #compiled = new Map<string, SubjectRules>();
  readonly #decisions = new Map<string, Decision>();

  constructor(index: RbacIndex) {
    this.#index = index;
  }

  authorize(attributes: Attributes): Decision {
    this.#dropStale();
    const key = memoKey(attributes);
    const known = this.#decisions.get(key);
    if (known) return known;
    const decision = this.#decide(attributes);
    if (key.length <= maxMemoKeyLength) {
      if (this.#decisions.size >= maxMemoisedDecisions) this.#decisions.clear();
      this.#decisions.set(key, decision);
    }
    return decision;
  }

  /** Every rule the user has in `namespace` (cluster-wide ones included), and what could not be resolved. */
  rulesFor(user: UserInfo, namespace: string): { readonly rules: readonly PolicyRule[]; readonly errors: readonly string[] } {
    const rules: PolicyRule[] = [];
    const errors: string[] = [];
    for (const binding of this.#bindingsOf(user, namespace)) {
      const resolved = this.#index.rulesOf(binding);
      if (resolved) rules.push(...resolved);
      else errors.push(missingRole(binding));
    }
    return { rules, errors };
  }

  #decide(attributes: Attributes): Decision {
    const errors: string[] = [];
    const scopes = attributes.isResourceRequest && attributes.namespace !== '' ? ['', attributes.namespace] : [''];
    for (const scope of scopes) {
      for (const subject of subjectsOf(attributes.user)) {
        const rules = this.#rulesOfSubject(scope, subject);
        const granted = findGrant(rules, attributes);
        if (granted) return { decision: 'allow', reason: granted.reason };
        errors.push(...rules.errors);
      }
    }
    return { decision: 'no-opinion', reason: formatErrors(errors) };
  }

  #rulesOfSubject(scope: string, subject: string): SubjectRules {
    const key = `${scope}\0${subject}`;
    const known = this.#compiled.get(key);
    if (known) return known;
    const bindings = this.#index.bindingsFor(scope, subject);
    // Subjects without bindings are not remembered: clients choose namespaces and users, memory is ours.
    if (bindings.length === 0) return noRules;
    const rules = this.#compile(bindings, subject);
    this.#compiled.set(key, rules);
    return rules;
  }

  #compile(bindings: readonly Binding[], subject: string): SubjectRules {
    const compiled: SubjectRules = { byResource: new Map(), nonResource: [], errors: [] };
    for (const binding of bindings) {
      const rules = this.#index.rulesOf(binding);
      if (!rules) {
        compiled.errors.push(missingRole(binding));
        continue;
      }
      const reason = describeGrant(binding, subject);
      for (const rule of rules) {
        const granted = { rule, reason };
        if (rule.nonResourceURLs && rule.nonResourceURLs.length > 0) compiled.nonResource.push(granted);
        for (const resource of rule.resources ?? []) {
          const list = compiled.byResource.get(resource);
          if (list) list.push(granted);
          else compiled.byResource.set(resource, [granted]);
        }
      }
    }
    return compiled;
  }

  #bindingsOf(user: UserInfo, namespace: string): Binding[] {
    const scopes = namespace === '' ? [''] : ['', namespace];
    const found = scopes.flatMap((scope) => subjectsOf(user).flatMap((subject) => this.#index.bindingsFor(scope, subject)));
    return [...new Set(found)];
  }

  #dropStale(): void {
    if (this.#generation === this.#index.generation) return;
    this.#generation = this.#index.generation;
    this.#compiled.clear();
    this.#decisions.clear();
  }
}

function findGrant(rules: SubjectRules, attributes: Attributes): GrantedRule | undefined {
  if (!attributes.isResourceRequest) return rules.nonResource.find(({ rule }) => ruleAllows(rule, attributes));
  const { resource, subresource } = attributes;
  const keys = subresource === '' ? [resource, '*'] : [`${resource}/${subresource}`, `*/${subresource}`, '*'];
  for (const key of keys) {
    const granted = rules.byResource.get(key)?.find(({ rule }) => ruleAllows(rule, attributes));
    if (granted) return granted;
  }
  return undefined;
}

/** Keys of the subjects a user stands for; a service account is also a user of that name. */
function subjectsOf(user: UserInfo): string[] {
  return [`User:${user.name}`, ...user.groups.map((group) => `Group:${group}`)];
}

function describeGrant(binding: Binding, subject: string): string {
  const colon = subject.indexOf(':');
  const kind = subject.slice(0, colon);
  const name = subject.slice(colon + 1);
  const account = kind === 'User' ? /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name) : null;
  const who = account ? `ServiceAccount "${account[2]}/${account[1]}"` : `${kind} "${name}"`;
  const where = binding.namespace === '' ? `ClusterRoleBinding "${binding.name}"` : `RoleBinding "${binding.name}/${binding.namespace}"`;
  return `RBAC: allowed by ${where} of ${binding.roleKind} "${binding.roleName}" to ${who}`;
}

function missingRole(binding: Binding): string {
  return `${binding.roleKind.toLowerCase()}.rbac.authorization.k8s.io ${JSON.stringify(binding.roleName)} not found`;
}

function formatErrors(errors: readonly string[]): string {
  const distinct = [...new Set(errors)];
  if (distinct.length === 0) return '';
  return `RBAC: ${distinct.length === 1 ? distinct[0] : `[${distinct.join(', ')}]`}`;
}

function memoKey(a: Attributes): string {
  return JSON.stringify([
    a.user.name,
    a.user.groups,
    a.verb,
    a.isResourceRequest ? [a.group, a.resource, a.subresource, a.namespace, a.name] : a.path,
  ]);
}
