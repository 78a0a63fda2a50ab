import { parseFieldSelector } from '@coffer/api/selectors/fields';
import { parseLabelSelector } from '@coffer/api/selectors/labels';
import type { Attributes } from './authorizer.ts';

/** The question as the `spec` of a SubjectAccessReview v1, as a webhook gets it: without what is empty. */
export function reviewSpec({ user, ...a }: Attributes): Readonly<Record<string, unknown>> {
  const about = a.isResourceRequest
    ? {
        resourceAttributes: withoutEmpty({
          namespace: a.namespace,
          verb: a.verb,
          group: a.group,
          version: a.version,
          resource: a.resource,
          subresource: a.subresource,
          name: a.name,
          fieldSelector: fieldSelectorOf(a.fieldSelector),
          labelSelector: labelSelectorOf(a.labelSelector),
        }),
      }
    : { nonResourceAttributes: withoutEmpty({ path: a.path, verb: a.verb }) };
  return {
    ...about,
    ...withoutEmpty({ user: user.name, uid: user.uid }),
    ...(user.groups.length > 0 ? { groups: user.groups } : {}),
    ...(user.extra && Object.keys(user.extra).length > 0 ? { extra: user.extra } : {}),
  };
}

function fieldSelectorOf(text: string | undefined): object | undefined {
  if (text === undefined) return undefined;
  try {
    const requirements = parseFieldSelector(text).requirements.map(({ field, operator, value }) => ({
      key: field,
      operator: operator === '=' ? 'In' : 'NotIn',
      values: [value],
    }));
    return requirements.length > 0 ? { requirements } : undefined;
  } catch {
    return undefined; // the endpoint answers 400
  }
}

const labelOperators: Readonly<Record<string, string>> = {
  in: 'In',
  '=': 'In',
  '==': 'In',
  notin: 'NotIn',
  '!=': 'NotIn',
  exists: 'Exists',
  '!': 'DoesNotExist',
};

/** Comparisons by size have no form in a review and are left out, which asks for more. */
function labelSelectorOf(text: string | undefined): object | undefined {
  if (text === undefined) return undefined;
  try {
    const requirements = parseLabelSelector(text).requirements.flatMap(({ key, operator, values }) => {
      const name = labelOperators[operator];
      return name === undefined ? [] : [{ key, operator: name, ...(values.length > 0 ? { values } : {}) }];
    });
    return requirements.length > 0 ? { requirements } : undefined;
  } catch {
    return undefined; // the endpoint answers 400
  }
}

function withoutEmpty(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== ''));
}
