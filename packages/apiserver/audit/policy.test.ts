import type { UserInfo } from '@coffer/base/http/handler';
import { describe, expect, it } from 'vitest';
import type { RequestContext } from '../request/context.ts';
import { parseRequestInfo } from '../request/parse-request-info.ts';
import { decideAudit, defaultAuditPolicy, parseAuditPolicy } from './policy.ts';

const jane: UserInfo = { name: 'jane', groups: ['devs', 'system:authenticated'] };

function context(method: string, url: string, user = jane): RequestContext {
  return { info: parseRequestInfo(method, url, new URLSearchParams()), user } as unknown as RequestContext;
}

function levelOf(rules: string, method: string, url: string, secretBodies = false): string {
  const policy = parseAuditPolicy(`apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n${rules}`);
  return decideAudit(policy, context(method, url), secretBodies).level;
}

describe('decideAudit', () => {
  const configmap = '/api/v1/namespaces/a/configmaps/x';

  it.each<[string, string, string, string]>([
    ['- {level: Request}', 'GET', configmap, 'Request'],
    ['- {level: None, users: [jane]}\n- {level: Metadata}', 'GET', configmap, 'None'],
    ['- {level: None, users: [bob]}\n- {level: Metadata}', 'GET', configmap, 'Metadata'],
    ['- {level: Request, userGroups: [devs]}', 'GET', configmap, 'Request'],
    ['- {level: Request, verbs: [update]}', 'GET', configmap, 'None'],
    ['- {level: Request, namespaces: [a]}', 'GET', configmap, 'Request'],
    ['- {level: Request, namespaces: [b]}', 'GET', configmap, 'None'],
    ['- {level: Request, resources: [{group: "", resources: [configmaps]}]}', 'GET', configmap, 'Request'],
    ['- {level: Request, resources: [{group: apps}]}', 'GET', configmap, 'None'],
    ['- {level: Request, resources: [{group: "", resources: [configmaps], resourceNames: [y]}]}', 'GET', configmap, 'None'],
    ['- {level: Request, resources: [{group: "", resources: [pods]}]}', 'GET', '/api/v1/namespaces/a/pods/p/log', 'None'],
    ['- {level: Request, resources: [{group: "", resources: [pods/log]}]}', 'GET', '/api/v1/namespaces/a/pods/p/log', 'Request'],
    ['- {level: Request, resources: [{group: "", resources: [pods/*]}]}', 'GET', '/api/v1/namespaces/a/pods/p/log', 'Request'],
    ['- {level: Request, resources: [{group: "", resources: ["*/log"]}]}', 'GET', '/api/v1/namespaces/a/pods/p/log', 'Request'],
    ['- {level: Request, nonResourceURLs: ["/healthz*"]}', 'GET', '/healthz/etcd', 'Request'],
    ['- {level: Request, nonResourceURLs: ["/healthz*"]}', 'GET', configmap, 'None'],
  ])('%j: %s %s is %s', (rules, method, url, expected) => {
    expect(levelOf(rules, method, url)).toBe(expected);
  });

  it.each([
    '/api/v1/namespaces/a/secrets/s',
    '/api/v1/secrets',
    '/api/v1/namespaces/a/serviceaccounts/x/token',
    '/apis/authentication.k8s.io/v1/tokenreviews',
  ])('never goes above Metadata for %s without the flag', (url) => {
    expect(levelOf('- {level: RequestResponse}', 'GET', url)).toBe('Metadata');
    expect(levelOf('- {level: RequestResponse}', 'GET', url, true)).toBe('RequestResponse');
  });

  it('by default records metadata of everything but health and discovery', () => {
    const level = (url: string) => decideAudit(defaultAuditPolicy, context('GET', url), true).level;
    expect(['/readyz', '/version', '/openapi/v3', '/apis'].map(level)).toEqual(['None', 'None', 'None', 'None']);
    expect([configmap, '/api/v1/secrets', '/metrics'].map(level)).toEqual(['Metadata', 'Metadata', 'Metadata']);
  });
});

describe('parseAuditPolicy', () => {
  it.each([
    ['kind: Policy\napiVersion: audit.k8s.io/v1\nrules: []', 'loaded illegal policy with 0 rules'],
    ['kind: Policy\napiVersion: v1\nrules: [{level: None}]', 'expected apiVersion audit.k8s.io/v1'],
    ['kind: Policy\napiVersion: audit.k8s.io/v1\nrules: [{level: All}]', 'rules[0].level: supported values'],
    ['kind: Policy\napiVersion: audit.k8s.io/v1\nrules: [{level: None, user: [x]}]', 'rules[0]: unknown field "user"'],
    ['kind: Policy\napiVersion: audit.k8s.io/v1\nrules: [{level: None, omitStages: [Never]}]', '"Never" is no stage'],
    [
      'kind: Policy\napiVersion: audit.k8s.io/v1\nrules: [{level: None, namespaces: [a], nonResourceURLs: [/x]}]',
      'both regular resources and non-resource URLs',
    ],
  ])('refuses %j', (text, message) => {
    expect(() => parseAuditPolicy(text)).toThrow(message);
  });
});
