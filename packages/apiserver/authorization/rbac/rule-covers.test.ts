import { describe, expect, it } from 'vitest';
import { formatRule, ruleAllows } from './policy-rule.ts';
import { uncoveredRules } from './rule-covers.ts';

const request = { isResourceRequest: true, group: '', resource: 'pods', subresource: '', name: '', path: '' };

describe('ruleAllows', () => {
  const cases = [
    { name: 'same verb and resource', rule: { verbs: ['get'], apiGroups: [''], resources: ['pods'] }, ask: { verb: 'get' }, allowed: true },
    { name: 'another verb', rule: { verbs: ['get'], apiGroups: [''], resources: ['pods'] }, ask: { verb: 'list' }, allowed: false },
    {
      name: 'a resource does not include its subresources',
      rule: { verbs: ['get'], apiGroups: [''], resources: ['pods'] },
      ask: { verb: 'get', subresource: 'log' },
      allowed: false,
    },
    {
      name: 'any resource, one subresource',
      rule: { verbs: ['get'], apiGroups: [''], resources: ['*/log'] },
      ask: { verb: 'get', subresource: 'log' },
      allowed: true,
    },
    {
      name: 'a named object',
      rule: { verbs: ['get'], apiGroups: [''], resources: ['pods'], resourceNames: ['a'] },
      ask: { verb: 'get', name: 'a' },
      allowed: true,
    },
    {
      name: 'a list of a rule with names',
      rule: { verbs: ['list'], apiGroups: [''], resources: ['pods'], resourceNames: ['a'] },
      ask: { verb: 'list' },
      allowed: false,
    },
    {
      name: 'a group that is not listed',
      rule: { verbs: ['get'], apiGroups: ['apps'], resources: ['pods'] },
      ask: { verb: 'get' },
      allowed: false,
    },
    {
      name: 'everything',
      rule: { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
      ask: { verb: 'get', subresource: 'log' },
      allowed: true,
    },
    {
      name: 'a URL prefix',
      rule: { verbs: ['get'], nonResourceURLs: ['/healthz/*'] },
      ask: { verb: 'get', isResourceRequest: false, path: '/healthz/etcd' },
      allowed: true,
    },
    {
      name: 'a URL beside the prefix',
      rule: { verbs: ['get'], nonResourceURLs: ['/healthz/*'] },
      ask: { verb: 'get', isResourceRequest: false, path: '/healthz' },
      allowed: false,
    },
  ];
  for (const { name, rule, ask, allowed } of cases) {
    it(name, () => expect(ruleAllows(rule, { ...request, ...ask })).toBe(allowed));
  }
});

describe('uncoveredRules', () => {
  it('finds nothing missing when every verb, group and resource is held by some rule', () => {
    const held = [
      { verbs: ['get', 'list'], apiGroups: [''], resources: ['pods'] },
      { verbs: ['*'], apiGroups: ['apps'], resources: ['*'] },
    ];
    const wanted = [
      { verbs: ['get'], apiGroups: [''], resources: ['pods'] },
      { verbs: ['delete'], apiGroups: ['apps'], resources: ['deployments', 'deployments/scale'] },
    ];
    expect(uncoveredRules(held, wanted)).toEqual([]);
  });

  it('reports only the missing part, with its verbs together', () => {
    const held = [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }];
    const wanted = [{ verbs: ['get', 'list', 'watch'], apiGroups: [''], resources: ['pods', 'secrets'] }];
    expect(uncoveredRules(held, wanted).map(formatRule)).toEqual([
      '{APIGroups:[""], Resources:["pods"], Verbs:["list", "watch"]}',
      '{APIGroups:[""], Resources:["secrets"], Verbs:["get", "list", "watch"]}',
    ]);
  });

  it('does not take a rule for single names as one for all', () => {
    const held = [{ verbs: ['get'], apiGroups: [''], resources: ['secrets'], resourceNames: ['a'] }];
    const wanted = [{ verbs: ['get'], apiGroups: [''], resources: ['secrets'] }];
    expect(uncoveredRules(held, wanted)).toHaveLength(1);
    expect(uncoveredRules(held, [{ ...wanted[0], verbs: ['get'], resourceNames: ['a'] }])).toEqual([]);
    expect(uncoveredRules(held, [{ ...wanted[0], verbs: ['get'], resourceNames: ['b'] }])).toHaveLength(1);
  });

  it('compares URLs', () => {
    const held = [{ verbs: ['get'], nonResourceURLs: ['/healthz/*'] }];
    expect(uncoveredRules(held, [{ verbs: ['get'], nonResourceURLs: ['/healthz/etcd'] }])).toEqual([]);
    expect(uncoveredRules(held, [{ verbs: ['get'], nonResourceURLs: ['/metrics'] }]).map(formatRule)).toEqual([
      '{NonResourceURLs:["/metrics"], Verbs:["get"]}',
    ]);
  });
});
