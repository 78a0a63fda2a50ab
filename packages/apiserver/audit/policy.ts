import { isRecord } from '@coffer/api/meta/safe-object';
import { load } from 'js-yaml';
import type { RequestContext } from '../request/context.ts';

export type AuditLevel = 'None' | 'Metadata' | 'Request' | 'RequestResponse';
export type AuditStage = 'RequestReceived' | 'ResponseStarted' | 'ResponseComplete' | 'Panic';

const levels: readonly AuditLevel[] = ['None', 'Metadata', 'Request', 'RequestResponse'];
const stages: readonly AuditStage[] = ['RequestReceived', 'ResponseStarted', 'ResponseComplete', 'Panic'];

interface GroupResources {
  readonly group: string;
  readonly resources: readonly string[];
  readonly resourceNames: readonly string[];
}

export interface AuditRule {
  readonly level: AuditLevel;
  readonly users: readonly string[];
  readonly userGroups: readonly string[];
  readonly verbs: readonly string[];
  readonly resources: readonly GroupResources[];
  readonly namespaces: readonly string[];
  readonly nonResourceURLs: readonly string[];
  readonly omitStages: readonly AuditStage[];
  readonly omitManagedFields: boolean;
}

/** audit.k8s.io/v1 Policy, checked. */
export interface AuditPolicy {
  readonly rules: readonly AuditRule[];
}

export interface AuditDecision {
  readonly level: AuditLevel;
  readonly omitStages: ReadonlySet<AuditStage>;
  readonly omitManagedFields: boolean;
}

/** Bodies that hold secret values: never above Metadata unless the operator asked for it by flag. */
const sensitiveResources = new Set(['secrets', 'serviceaccounts/token', 'tokenreviews.authentication.k8s.io']);

/** Without a policy file: who did what to which object, never what was in it. Health checks and discovery are left out. */
export const defaultAuditPolicy: AuditPolicy = {
  rules: [
    { ...emptyRule('None'), nonResourceURLs: ['/healthz*', '/livez*', '/readyz*', '/version', '/openapi*', '/api', '/apis'] },
    { ...emptyRule('Metadata'), omitStages: ['RequestReceived'] },
  ],
};

/** The first rule that matches decides; no match is not audited. Secrets are capped at Metadata unless `secretBodies`. */
export function decideAudit(policy: AuditPolicy, context: RequestContext, secretBodies: boolean): AuditDecision {
  const rule = policy.rules.find((candidate) => matches(candidate, context));
  if (!rule) return { level: 'None', omitStages: new Set(), omitManagedFields: false };
  const level = !secretBodies && holdsSecrets(context) && levels.indexOf(rule.level) > 1 ? 'Metadata' : rule.level;
  return { level, omitStages: new Set(rule.omitStages), omitManagedFields: rule.omitManagedFields };
}

/** True for requests whose bodies hold secret values: Secrets and tokens. */
export function holdsSecrets({ info }: RequestContext): boolean {
  const resource = info.group === '' ? info.resource : `${info.resource}.${info.group}`;
  return sensitiveResources.has(resource) || sensitiveResources.has(`${resource}/${info.subresource}`);
}

function matches(rule: AuditRule, context: RequestContext): boolean {
  const { info, user } = context;
  if (rule.users.length > 0 && !rule.users.includes(user.name)) return false;
  if (rule.userGroups.length > 0 && !rule.userGroups.some((group) => user.groups.includes(group))) return false;
  if (rule.verbs.length > 0 && !rule.verbs.includes(info.verb)) return false;
  if (rule.namespaces.length === 0 && rule.resources.length === 0 && rule.nonResourceURLs.length === 0) return true;
  if (!info.isResourceRequest) return rule.nonResourceURLs.some((pattern) => urlMatches(pattern, info.path));
  if (rule.namespaces.length === 0 && rule.resources.length === 0) return false;
  if (rule.namespaces.length > 0 && !rule.namespaces.includes(info.namespace)) return false;
  return rule.resources.length === 0 || rule.resources.some((entry) => resourceMatches(entry, context));
}

function resourceMatches(entry: GroupResources, { info }: RequestContext): boolean {
  if (entry.group !== info.group) return false;
  if (entry.resources.length === 0) return true;
  const combined = info.subresource === '' ? info.resource : `${info.resource}/${info.subresource}`;
  return entry.resources.some((resource) => {
    if (
      resource !== '*' &&
      resource !== combined &&
      !(info.subresource !== '' && (resource === `*/${info.subresource}` || resource === `${info.resource}/*`))
    )
      return false;
    return entry.resourceNames.length === 0 || entry.resourceNames.includes(info.name);
  });
}

function urlMatches(pattern: string, path: string): boolean {
  return pattern === '*' || pattern === path || (pattern.endsWith('*') && path.startsWith(pattern.slice(0, -1)));
}

/** Reads a policy file. Every problem is an error that names the rule and field. */
export function parseAuditPolicy(text: string): AuditPolicy {
  const document = load(text);
  if (!isRecord(document)) throw new Error('audit policy: not an object');
  if (document.apiVersion !== 'audit.k8s.io/v1' || document.kind !== 'Policy') {
    throw new Error('audit policy: expected apiVersion audit.k8s.io/v1, kind Policy');
  }
  const common = stageList(document.omitStages, 'omitStages');
  const rules = document.rules;
  if (!Array.isArray(rules) || rules.length === 0) throw new Error('audit policy: loaded illegal policy with 0 rules');
  const omitManagedFields = document.omitManagedFields === true;
  return { rules: rules.map((rule, index) => parseRule(rule, `rules[${index}]`, common, omitManagedFields)) };
}

const ruleFields = [
  'level',
  'users',
  'userGroups',
  'verbs',
  'resources',
  'namespaces',
  'nonResourceURLs',
  'omitStages',
  'omitManagedFields',
];

function parseRule(value: unknown, at: string, commonStages: readonly AuditStage[], omitManagedFields: boolean): AuditRule {
  if (!isRecord(value)) throw new Error(`audit policy: ${at} is not an object`);
  const unknown = Object.keys(value).find((key) => !ruleFields.includes(key));
  if (unknown !== undefined) throw new Error(`audit policy: ${at}: unknown field ${JSON.stringify(unknown)}`);
  const level = levels.find((candidate) => candidate === value.level);
  if (level === undefined) throw new Error(`audit policy: ${at}.level: supported values: ${levels.join(', ')}`);
  const nonResourceURLs = strings(value.nonResourceURLs, `${at}.nonResourceURLs`);
  const resources =
    value.resources === undefined
      ? []
      : list(value.resources, `${at}.resources`).map((entry, index) => parseResources(entry, `${at}.resources[${index}]`));
  const namespaces = strings(value.namespaces, `${at}.namespaces`);
  if (nonResourceURLs.length > 0 && (resources.length > 0 || namespaces.length > 0)) {
    throw new Error(`audit policy: ${at}: rules cannot apply to both regular resources and non-resource URLs`);
  }
  return {
    level,
    users: strings(value.users, `${at}.users`),
    userGroups: strings(value.userGroups, `${at}.userGroups`),
    verbs: strings(value.verbs, `${at}.verbs`),
    resources,
    namespaces,
    nonResourceURLs,
    omitStages: [...commonStages, ...stageList(value.omitStages, `${at}.omitStages`)],
    omitManagedFields: typeof value.omitManagedFields === 'boolean' ? value.omitManagedFields : omitManagedFields,
  };
}

function parseResources(value: unknown, at: string): GroupResources {
  if (!isRecord(value)) throw new Error(`audit policy: ${at} is not an object`);
  const resources = strings(value.resources, `${at}.resources`);
  const resourceNames = strings(value.resourceNames, `${at}.resourceNames`);
  if (resourceNames.length > 0 && resources.length === 0)
    throw new Error(`audit policy: ${at}.resourceNames: using resourceNames requires at least one resource`);
  return { group: typeof value.group === 'string' ? value.group : '', resources, resourceNames };
}

function stageList(value: unknown, at: string): AuditStage[] {
  return strings(value, at).map((name) => {
    const stage = stages.find((candidate) => candidate === name);
    if (!stage) throw new Error(`audit policy: ${at}: ${JSON.stringify(name)} is no stage; supported values: ${stages.join(', ')}`);
    return stage;
  });
}

function list(value: unknown, at: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new Error(`audit policy: ${at} is not a list`);
  return value;
}

function strings(value: unknown, at: string): string[] {
  if (value === undefined || value === null) return [];
  return list(value, at).map((item) => {
    if (typeof item !== 'string') throw new Error(`audit policy: ${at} holds something other than strings`);
    return item;
  });
}

function emptyRule(level: AuditLevel): AuditRule {
  return {
    level,
    users: [],
    userGroups: [],
    verbs: [],
    resources: [],
    namespaces: [],
    nonResourceURLs: [],
    omitStages: [],
    omitManagedFields: false,
  };
}
