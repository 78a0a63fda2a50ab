import { describe, expect, it } from 'vitest';
import { parseAuthorizationConfiguration } from './authorization-config.ts';

const head = 'apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n';
const node = '- {type: Node, name: node}\n';
const webhook = (fields: string) => `- type: Webhook
  name: outside
  webhook: {subjectAccessReviewVersion: v1, failurePolicy: Deny, timeout: 3s, connectionInfo: {type: KubeConfigFile, kubeConfigFile: /w}${fields}}
`;

describe('parseAuthorizationConfiguration', () => {
  it('reads authorizers in order, with the defaults of upstream', () => {
    const conditions =
      ', matchConditionSubjectAccessReviewVersion: v1, unauthorizedTTL: 1m30s, cacheAuthorizedRequests: false, matchConditions: [{expression: "true"}]';
    expect(parseAuthorizationConfiguration(`${head}${node}${webhook(conditions)}- {type: RBAC, name: rbac}\n`).authorizers).toEqual([
      { type: 'Node', name: 'node' },
      {
        type: 'Webhook',
        name: 'outside',
        kubeConfigFile: '/w',
        version: 'v1',
        timeoutMs: 3000,
        authorizedTtlMs: 0,
        unauthorizedTtlMs: 90_000,
        failurePolicy: 'Deny',
        matchConditions: ['true'],
      },
      { type: 'RBAC', name: 'rbac' },
    ]);
    expect(parseAuthorizationConfiguration(head + webhook('')).authorizers[0]).toMatchObject({
      authorizedTtlMs: 300_000,
      unauthorizedTtlMs: 30_000,
      matchConditions: [],
    });
  });

  it.each([
    ['apiVersion: v1\nkind: Secret\n', 'expected apiVersion apiserver.config.k8s.io/v1, kind AuthorizationConfiguration'],
    [head, 'authorizers: at least one authorization mode must be defined'],
    [head + node + node, 'authorizers[1].name: Duplicate value: "node"'],
    [`${head}${node}- {type: Node, name: other}\n`, 'authorizers[1].type: Duplicate value: "Node"'],
    [
      `${head}- {type: AlwaysAllow, name: all}\n`,
      'authorizers[0].type: Unsupported value: "AlwaysAllow": supported values: "Node", "RBAC", "Webhook"',
    ],
    [`${head}- {type: RBAC, name: A_b}\n`, 'authorizers[0].name: Invalid value: "A_b"'],
    [`${head}- {type: RBAC, name: r, webhook: {}}\n`, 'authorizers[0].webhook: may only be specified when type=Webhook'],
    [`${head}- {type: RBAC, name: r, color: red}\n`, 'authorizers[0]: unknown field "color"'],
    [head + webhook(', timeout2: 3s'), 'authorizers[0].webhook: unknown field "timeout2"'],
    [head + webhook('').replace('timeout: 3s', 'timeout: 31s'), 'authorizers[0].webhook.timeout: must be more than 0 and at most 30s'],
    [head + webhook('').replace(', timeout: 3s', ''), 'authorizers[0].webhook.timeout: required'],
    [
      head + webhook('').replace('failurePolicy: Deny', 'failurePolicy: Allow'),
      'authorizers[0].webhook.failurePolicy: Unsupported value: "Allow"',
    ],
    [head + webhook(', matchConditions: [{expression: "true"}]'), 'matchConditionSubjectAccessReviewVersion: required'],
    [head + webhook('').replace('KubeConfigFile', 'InClusterConfig'), 'connectionInfo.type: Unsupported value: "InClusterConfig"'],
    [head + webhook('').replace('/w', 'w'), 'connectionInfo.kubeConfigFile: must be an absolute path'],
    [head + webhook(', authorizedTTL: soon'), 'authorizers[0].webhook.authorizedTTL: expected a duration'],
  ])('refuses %j', (text, message) => {
    expect(() => parseAuthorizationConfiguration(text)).toThrow(message);
  });
});
