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
import type { UserInfo } from '@coffer/base/http/handler';
import type { Attributes, Authorizer } from '../../authorization/authorizer.ts';
import type { Review } from './review.ts';

/** What can say all rules of a user at once; RBAC can, other authorizers cannot. */
export interface RuleResolver {
  rulesFor(user: UserInfo, namespace: string): { readonly rules: readonly V1PolicyRule[]; readonly errors: readonly string[] };
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
  const incomplete = { rules: [], errors: [`${authorizer} authorizer does not support user rule resolution`] };
  return { rulesFor: (user) => (concerns(user) ? incomplete : nothing) };
}

/** `selfsubjectrulesreviews`: what may I do in this namespace? */
export function selfSubjectRulesReview(resolvers: readonly RuleResolver[]): Review {
  return (object, { user }) => {
    const { spec } = object as Partial<V1SelfSubjectRulesReview>;
    const namespace = spec?.namespace ?? '';
    if (namespace === '') throw badRequest('no namespace on request');
    const resolved = resolvers.map((resolver) => resolver.rulesFor(user, namespace));
    const rules = resolved.flatMap((part) => part.rules);
    const errors = [...new Set(resolved.flatMap((part) => part.errors))];
    const resourceRules = rules.filter((rule) => (rule.resources ?? []).length > 0);
    const nonResourceRules = rules.filter((rule) => (rule.nonResourceURLs ?? []).length > 0);
    object.status = {
      resourceRules: resourceRules.map(({ verbs, apiGroups, resources, resourceNames }) => ({
        verbs,
        apiGroups,
        resources,
        ...(resourceNames && resourceNames.length > 0 ? { resourceNames } : {}),
      })),
      nonResourceRules: nonResourceRules.map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs })),
      incomplete: errors.length > 0,
      ...(errors.length > 0 ? { evaluationError: errors.length === 1 ? errors[0] : `[${errors.join(', ')}]` } : {}),
    };
    return object;
  };
}

async function withDecision(
  object: KubeObject,
  authorizer: Authorizer,
  user: UserInfo,
  spec: { readonly resourceAttributes?: V1ResourceAttributes; readonly nonResourceAttributes?: V1NonResourceAttributes },
): Promise<KubeObject> {
  const { decision, reason } = await authorizer.authorize(attributesOf(user, spec));
  object.status = {
    allowed: decision === 'allow',
    ...(decision === 'deny' ? { denied: true } : {}),
    ...(reason === '' ? {} : { reason }),
  };
  return object;
}

function attributesOf(
  user: UserInfo,
  spec: { readonly resourceAttributes?: V1ResourceAttributes; readonly nonResourceAttributes?: V1NonResourceAttributes },
): Attributes {
  const resource = spec.resourceAttributes;
  if (resource) {
    const terms = resource.fieldSelector?.requirements?.filter(({ operator, values }) => operator === 'In' && values?.length === 1) ?? [];
    const rawSelector = resource.fieldSelector?.rawSelector ?? terms.map(({ key, values }) => `${key}=${values?.[0] ?? ''}`).join(',');
    return {
      user,
      verb: resource.verb ?? '',
      isResourceRequest: true,
      group: resource.group ?? '',
      version: resource.version ?? '',
      resource: resource.resource ?? '',
      subresource: resource.subresource ?? '',
      namespace: resource.namespace ?? '',
      name: resource.name ?? '',
      path: '',
      ...(rawSelector === '' ? {} : { fieldSelector: rawSelector }),
    };
  }
  return {
    user,
    verb: spec.nonResourceAttributes?.verb ?? '',
    isResourceRequest: false,
    group: '',
    version: '',
    resource: '',
    subresource: '',
    namespace: '',
    name: '',
    path: spec.nonResourceAttributes?.path ?? '',
  };
}
