import { describe, expect, it } from 'vitest';
import { formatFieldError } from '../../errors/field-error.ts';
import type { KubeObject } from '../../meta/object.ts';
import { applyTokenRequestDefaults, selfSubjectReview, validateTokenRequest } from '../authentication/reviews.ts';
import type { KindDefinition } from '../kind.ts';
import type { Fields } from '../testing/written-object.ts';
import { createErrors } from '../validate-object.ts';
import { localSubjectAccessReview, selfSubjectAccessReview, selfSubjectRulesReview, subjectAccessReview } from './access-reviews.ts';

const problems = (kind: KindDefinition, spec: Fields, metadata: KubeObject['metadata'] = {}): string[] =>
  createErrors(kind, { apiVersion: 'v1', kind: 'X', metadata, spec }).map(formatFieldError);

const resourceAttributes = { namespace: 'n', verb: 'get', resource: 'pods' };
const nonResourceAttributes = { path: '/healthz', verb: 'get' };

describe('access reviews', () => {
  it('ask about a resource or about a path', () => {
    expect(problems(selfSubjectAccessReview, { resourceAttributes })).toEqual([]);
    expect(problems(selfSubjectAccessReview, { nonResourceAttributes })).toEqual([]);
    expect(problems(selfSubjectAccessReview, {})).toEqual([
      'spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified',
    ]);
    expect(problems(selfSubjectAccessReview, { resourceAttributes, nonResourceAttributes })).toEqual([
      'spec.nonResourceAttributes: Invalid value: {"Path":"/healthz","Verb":"get"}: cannot be specified in combination with resourceAttributes',
    ]);
  });

  it('select by text or by requirements', () => {
    const select = (fieldSelector: Fields): string[] =>
      problems(selfSubjectAccessReview, { resourceAttributes: { ...resourceAttributes, fieldSelector } });
    const requirements = [{ key: 'a', operator: 'Exists' }];
    expect(select({ rawSelector: 'a=b' })).toEqual([]);
    expect(select({ requirements })).toEqual([]);
    expect(select({})).toEqual([
      'spec.resourceAttributes.fieldSelector.requirements: Required value: when spec.resourceAttributes.fieldSelector is specified, requirements or rawSelector is required',
    ]);
    expect(select({ rawSelector: 'a=b', requirements })).toEqual([
      'spec.resourceAttributes.fieldSelector.rawSelector: Invalid value: "a=b": may not specified at the same time as requirements',
    ]);
  });

  it('name somebody', () => {
    expect(problems(subjectAccessReview, { resourceAttributes, user: 'u' })).toEqual([]);
    expect(problems(subjectAccessReview, { resourceAttributes, groups: ['g'] })).toEqual([]);
    expect(problems(subjectAccessReview, { resourceAttributes })).toEqual([
      'spec.user: Invalid value: "": at least one of user or group must be specified',
    ]);
  });

  it('have no metadata', () => {
    expect(problems(selfSubjectAccessReview, { resourceAttributes }, { name: 'x' })).toEqual([
      'metadata: Invalid value: {"name":"x"}: must be empty',
    ]);
    expect(problems(selfSubjectRulesReview, {}, { name: 'x' })).toEqual([]);
    expect(problems(selfSubjectReview, {}, { name: 'x' })).toEqual([]);
  });

  it('stay in the namespace they are asked in', () => {
    const spec = { resourceAttributes, user: 'u' };
    expect(problems(localSubjectAccessReview, spec, { namespace: 'n' })).toEqual([]);
    expect(problems(localSubjectAccessReview, spec, { namespace: 'm' })).toEqual([
      'spec.resourceAttributes.namespace: Invalid value: "n": must match metadata.namespace',
    ]);
    expect(problems(localSubjectAccessReview, { nonResourceAttributes, user: 'u' }, { namespace: 'n' })).toEqual([
      'spec.nonResourceAttributes: Invalid value: {"Path":"/healthz","Verb":"get"}: disallowed on this kind of request',
    ]);
  });
});

describe('requests for tokens', () => {
  it.each<[number | undefined, string[]]>([
    [undefined, []],
    [600, []],
    [599, ['spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes']],
    [2 ** 32 + 1, ['spec.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds']],
  ])('for %s seconds', (expirationSeconds, want) => {
    const spec = expirationSeconds === undefined ? undefined : { expirationSeconds };
    const request: KubeObject = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', metadata: {}, spec };
    applyTokenRequestDefaults(request);
    expect(request.spec).toEqual({ expirationSeconds: expirationSeconds ?? 3600 });
    expect(validateTokenRequest(request).map(formatFieldError)).toEqual(want);
  });
});
