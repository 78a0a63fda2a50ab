import { silentLogger } from '@coffer/base/log/logger';
import { describe, expect, it } from 'vitest';
import type { Attributes } from './authorizer.ts';
import { MatchConditions } from './match-conditions.ts';

const resource: Attributes = {
  user: { name: 'jane', groups: ['devs'] },
  verb: 'list',
  isResourceRequest: true,
  group: '',
  version: 'v1',
  resource: 'pods',
  subresource: '',
  namespace: 'ns',
  name: '',
  path: '',
  labelSelector: 'app=web,!old',
};
const nothing = { group: '', version: '', resource: '', subresource: '', namespace: '', name: '' };
const path: Attributes = { ...resource, ...nothing, isResourceRequest: false, verb: 'get', path: '/healthz' };

function decide(expressions: readonly string[], attributes: Attributes, failurePolicy: 'NoOpinion' | 'Deny' = 'NoOpinion') {
  const asked = { authorize: () => ({ decision: 'allow', reason: 'asked' }) as const };
  return new MatchConditions(expressions, asked, failurePolicy, silentLogger, 'matchConditions').authorize(attributes);
}

const allowed = { decision: 'allow', reason: 'asked' };
const skipped = { decision: 'no-opinion', reason: '' };

describe('MatchConditions', () => {
  it.each([
    [['true'], resource, allowed],
    [["has(request.resourceAttributes) && request.resourceAttributes.namespace == 'ns'"], resource, allowed],
    [["has(request.resourceAttributes) && request.resourceAttributes.namespace == 'ns'"], path, skipped],
    [["request.resourceAttributes.name == ''", "request.user == 'jane'"], resource, allowed],
    [["request.user == 'jane'", "'admins' in request.groups"], resource, skipped],
    [["!has(request.resourceAttributes) && request.nonResourceAttributes.path == '/healthz'"], path, allowed],
    [["request.resourceAttributes.labelSelector.requirements.exists(r, r.key == 'app' && r.operator == 'In')"], resource, allowed],
  ])('%j: asks only when all are true', (expressions, attributes, decision) => {
    expect(decide(expressions, attributes)).toEqual(decision);
  });

  it('decides by the failure policy when one fails and none is false', () => {
    const failing = "request.nonResourceAttributes.path == '/'";
    const error = expect.any(String);
    expect(decide([failing], resource)).toEqual({ ...skipped, error });
    expect(decide([failing], resource, 'Deny')).toEqual({ decision: 'deny', reason: '', error });
    expect(decide([failing, 'false'], resource, 'Deny')).toEqual(skipped);
    expect(decide(["'text'"], resource, 'Deny')).toEqual({ decision: 'deny', reason: '', error });
  });

  it('refuses what is no CEL', () => {
    expect(() => decide(['a b'], resource)).toThrow('matchConditions[0].expression: "a b" is no valid CEL expression');
  });
});
