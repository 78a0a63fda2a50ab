import { badRequest } from '@coffer/api/errors/status-error';
import type {
  V1NonResourceAttributes,
  V1PolicyRule,
  V1ResourceAttributes,
  V1SelfSubjectAccessReview,
  V1SelfSubjectRulesReview,
  V1SubjectAccessReview,
} from '@coffer/api/generated/types';
import type { KubeObject } from '@coffer/api/meta/object';
import { escapeValue, parseFieldSelector } from '@coffer/api/selectors/fields';
import { fromLabelSelector, parseLabelSelector } from '@coffer/api/selectors/labels';
import type { UserInfo } from '@coffer/base/http/handler';
import type { Attributes, Authorizer } from '../../authorization/authorizer.ts';
import type { Review } from './review.ts';

/** What can say all rules of a user at once; RBAC can, other authorizers cannot. */
export interface RuleResolver {
  rulesFor(user: UserInfo, namespace: string): ResolvedRules;
}

export interface ResolvedRules {
  readonly rules: readonly V1PolicyRule[];
  readonly errors: readonly string[];
  /** True when there may be more than what can be told. */
  readonly incomplete?: boolean;
}

/** `subjectaccessreviews` and `localsubjectaccessreviews`: may that user do this? */
export function subjectAccessReview(authorizer: Authorizer): Review {
  return async (object, { namespace }) => {
    const { spec } = object as unknown as V1SubjectAccessReview;
    if (namespace !== '' && spec.resourceAttributes?.namespace !== namespace) {
      throw badRequest(`spec.resourceAttributes.namespace must match namespace: ${namespace}`);
    }
    const user: UserInfo = {
      name: spec.user ?? '',
      groups: spec.groups ?? [],
      ...(spec.uid ? { uid: spec.uid } : {}),
      ...(spec.extra ? { extra: spec.extra } : {}),
    };
    return withDecision(object, authorizer, user, spec);
  };
}

/** `selfsubjectaccessreviews`: may I? */
export function selfSubjectAccessReview(authorizer: Authorizer): Review {
  return (object, { user }) => withDecision(object, authorizer, user, (object as unknown as V1SelfSubjectAccessReview).spec);
}

/** For authorizers that decide case by case: they say that the list of rules is not all there is. */
export function unresolvableRules(authorizer: string, concerns: (user: UserInfo) => boolean): RuleResolver {
  const nothing = { rules: [], errors: [] };
  const unknown = { rules: [], errors: [`${authorizer} authorizer does not support user rule resolution`], incomplete: true };
  return { rulesFor: (user) => (concerns(user) ? unknown : nothing) };
}

/** `selfsubjectrulesreviews`: what may I do in this namespace? The answer is an object of its own, without the question. */
export function selfSubjectRulesReview(resolvers: () => readonly RuleResolver[]): Review {
  return (object, { user }) => {
    const { spec } = object as Partial<V1SelfSubjectRulesReview>;
    const namespace = spec?.namespace ?? '';
    if (namespace === '') throw badRequest('no namespace on request');
    const resolved = resolvers().map((resolver) => resolver.rulesFor(user, namespace));
    const rules = resolved.flatMap((part) => part.rules);
    const errors = [...new Set(resolved.flatMap((part) => part.errors))];
    const resourceRules = rules.filter((rule) => (rule.resources ?? []).length > 0);
    const nonResourceRules = rules.filter((rule) => (rule.nonResourceURLs ?? []).length > 0);
    const status = {
      resourceRules: resourceRules.map(({ verbs, apiGroups, resources, resourceNames }) => ({
        verbs,
        apiGroups,
        resources,
        ...(resourceNames && resourceNames.length > 0 ? { resourceNames } : {}),
      })),
      nonResourceRules: nonResourceRules.map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs })),
      incomplete: resolved.some((part) => part.incomplete === true),
      ...(errors.length > 0 ? { evaluationError: errors.length === 1 ? errors[0] : `[${errors.join(', ')}]` } : {}),
    };
    return { apiVersion: object.apiVersion, kind: object.kind, metadata: {}, spec: {}, status };
  };
}

async function withDecision(
  object: KubeObject,
  authorizer: Authorizer,
  user: UserInfo,
  spec: { readonly resourceAttributes?: V1ResourceAttributes; readonly nonResourceAttributes?: V1NonResourceAttributes },
): Promise<KubeObject> {
  const { attributes, evaluationError } = attributesOf(user, spec);
  const { decision, reason, error = '' } = await authorizer.authorize(attributes);
  const errors = [evaluationError, error].filter((text) => text !== '');
  object.status = {
    allowed: decision === 'allow',
    ...(decision === 'deny' ? { denied: true } : {}),
    ...(reason === '' ? {} : { reason }),
    ...(errors.length === 0 ? {} : { evaluationError: errors.length === 1 ? errors[0] : `[${errors.join(', ')}]` }),
  };
  return object;
}

interface ReviewedAttributes {
  readonly attributes: Attributes;
  readonly evaluationError: string;
}

function attributesOf(
  user: UserInfo,
  spec: { readonly resourceAttributes?: V1ResourceAttributes; readonly nonResourceAttributes?: V1NonResourceAttributes },
): ReviewedAttributes {
  const resource = spec.resourceAttributes;
  if (!resource) {
    const { verb = '', path = '' } = spec.nonResourceAttributes ?? {};
    const nothing = { group: '', version: '', resource: '', subresource: '', namespace: '', name: '' };
    return { attributes: { ...nothing, user, verb, isResourceRequest: false, path }, evaluationError: '' };
  }
  const fields = fieldSelectorOf(resource);
  const labels = labelSelectorOf(resource);
  return {
    attributes: {
      user,
      verb: resource.verb ?? '',
      isResourceRequest: true,
      group: resource.group ?? '',
      version: resource.version || '*',
      resource: resource.resource ?? '',
      subresource: resource.subresource ?? '',
      namespace: resource.namespace ?? '',
      name: resource.name ?? '',
      path: '',
      ...(fields.selector === '' ? {} : { fieldSelector: fields.selector }),
      ...(labels.selector === '' ? {} : { labelSelector: labels.selector }),
    },
    evaluationError: [fields.problem, labels.problem].filter((text) => text !== '').join('; '),
  };
}

const ignored = (what: string, partially: boolean) =>
  `spec.resourceAttributes.${what} ${partially ? 'partially ' : ''}ignored due to parse error`;

/** The field selector as text. What cannot be understood is left out, which asks for more, and is told. */
function fieldSelectorOf({ fieldSelector }: V1ResourceAttributes): { readonly selector: string; readonly problem: string } {
  const requirements = fieldSelector?.requirements ?? [];
  if (requirements.length > 0) {
    const usable = requirements.filter(({ operator, values }) => (operator === 'In' || operator === 'NotIn') && values?.length === 1);
    const terms = usable.map(({ key, operator, values }) => `${key}${operator === 'In' ? '=' : '!='}${escapeValue(values?.[0] ?? '')}`);
    const problem = usable.length === requirements.length ? '' : ignored('fieldSelector', usable.length > 0);
    return { selector: terms.join(','), problem };
  }
  const raw = fieldSelector?.rawSelector ?? '';
  try {
    return { selector: parseFieldSelector(raw).toString(), problem: '' };
  } catch {
    return { selector: '', problem: ignored('fieldSelector', false) };
  }
}

/** The label selector as text, likewise. */
function labelSelectorOf({ labelSelector }: V1ResourceAttributes): { readonly selector: string; readonly problem: string } {
  const requirements = labelSelector?.requirements ?? [];
  if (requirements.length > 0) {
    const usable = requirements.flatMap(({ key, operator, values }) => requirementText(key, operator, values ?? []));
    const problem = usable.length === requirements.length ? '' : ignored('labelSelector', usable.length > 0);
    return { selector: usable.join(','), problem };
  }
  try {
    return { selector: parseLabelSelector(labelSelector?.rawSelector ?? '').toString(), problem: '' };
  } catch {
    return { selector: '', problem: ignored('labelSelector', false) };
  }
}

function requirementText(key: string, operator: string, values: readonly string[]): string[] {
  try {
    return [fromLabelSelector({ matchExpressions: [{ key, operator, values: [...values] }] }).toString()];
  } catch {
    return [];
  }
}
