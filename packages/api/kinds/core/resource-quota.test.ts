import { describe, expect, it } from 'vitest';
import { cellsOf, createProblems, statusProblems, updateProblems, written } from '../testing/written-object.ts';
import { resourceQuota } from './resource-quota.ts';

const problems = (spec: object) => createProblems(resourceQuota, { spec });

describe('ResourceQuota', () => {
  it('limits what can be counted', () => {
    const hard = { pods: '10', 'requests.cpu': '1', 'limits.memory': '1Gi', 'count/deployments.apps': '3', 'requests.a.b/gpu': '1' };
    expect(problems({ hard: { ...hard, 'hugepages-2Mi': '2Mi', 'requests.hugepages-2Mi': '2Mi' } })).toEqual([]);
    expect(problems({ hard: { storage: '1', pods: '1500m', secrets: '-1', things: '1' } })).toEqual([
      'spec.hard[pods]: Invalid value: "1500m": must be an integer',
      'spec.hard[secrets]: Invalid value: "-1": must be greater than or equal to 0',
      'spec.hard[storage]: Invalid value: "storage": must be a standard resource for quota',
      'spec.hard[things]: Invalid value: "things": must be a standard resource type or fully qualified',
      'spec.hard[things]: Invalid value: "things": must be a standard resource for quota',
    ]);
  });

  it('says which requests can never be used, when it is made', () => {
    const warnings = (hard: object, old?: Readonly<Record<string, unknown>>) =>
      resourceQuota.warnings(written(resourceQuota, { spec: { hard } }), old === undefined ? undefined : written(resourceQuota, old));
    expect(warnings({ 'requests.cpu': '1', 'limits.cpu': '1', memory: '1Gi', 'requests.ephemeral-storage': '5' })).toEqual([]);
    const excessive = { cpu: '2', 'limits.cpu': '1500m', 'requests.memory': '2Gi', memory: '1', 'limits.memory': '1Gi' };
    expect(warnings(excessive)).toEqual([
      'ResourceQuota cpu (2) should be less than limits.cpu (1500m)',
      'ResourceQuota requests.memory (2Gi) should be less than limits.memory (1Gi)',
    ]);
    expect(warnings(excessive, {})).toEqual([]);
  });

  it('knows which scopes go with which resources and with each other', () => {
    expect(problems({ hard: { pods: '1' }, scopes: ['BestEffort', 'NotBestEffort', 'Mine'] })).toEqual([
      'spec.scopes: Invalid value: ["BestEffort","NotBestEffort","Mine"]: unsupported scope',
      'spec.scopes: Invalid value: ["BestEffort","NotBestEffort","Mine"]: conflicting scopes',
    ]);
    expect(problems({ hard: { cpu: '1', pods: '1' }, scopes: ['BestEffort'] })).toEqual([
      'spec.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to resource',
    ]);
    const ofServices = { hard: { services: '1' }, scopeSelector: { matchExpressions: [{ scopeName: 'Terminating', operator: 'Exists' }] } };
    expect(problems(ofServices)).toEqual([
      'spec.scopeSelector.matchExpressions: Invalid value: {"MatchExpressions":[{"ScopeName":"Terminating","Operator":"Exists","Values":null}]}: unsupported scope applied to resource',
    ]);
    const selector = (matchExpressions: object[]) => problems({ hard: { pods: '1' }, scopeSelector: { matchExpressions } });
    const at = 'spec.scopeSelector.matchExpressions';
    expect(selector([{ scopeName: 'PriorityClass', operator: 'In', values: ['high'] }])).toEqual([]);
    expect(selector([{ scopeName: 'PriorityClass', operator: 'In' }])[0]).toMatch(`${at}.values: Required value: must be at least one`);
    expect(selector([{ scopeName: 'PriorityClass', operator: 'Exists', values: ['x'] }])[0]).toMatch(
      `${at}.values: Invalid value: ["x"]: must be no value`,
    );
    expect(selector([{ scopeName: 'Terminating', operator: 'Like' }])).toEqual([
      expect.stringMatching(/operator: Invalid value: "Like": must be 'Exist' when scope is any of/),
      `${at}.operator: Invalid value: "Like": not a valid selector operator`,
    ]);
  });

  it('keeps its scopes', () => {
    const spec = { hard: { pods: '1' }, scopes: ['BestEffort'] };
    expect(updateProblems(resourceQuota, { spec: { ...spec, hard: { pods: '2' } } }, { spec })).toEqual([]);
    expect(updateProblems(resourceQuota, { spec: { ...spec, scopes: ['NotBestEffort'] } }, { spec })).toEqual([
      'spec.scopes: Invalid value: ["NotBestEffort"]: field is immutable',
    ]);
    expect(statusProblems(resourceQuota, { spec, status: { hard: { pods: '1' }, used: { pods: '-1' } } }, { spec })).toEqual([
      'status.used[pods]: Invalid value: "-1": must be greater than or equal to 0',
    ]);
  });

  it('shows requests and limits apart', () => {
    const status = { hard: { 'limits.cpu': '2', pods: '10', configmaps: '3' }, used: { 'limits.cpu': '500m', configmaps: '1' } };
    expect(cellsOf(resourceQuota, { status }, 0)).toMatchObject({ Request: 'configmaps: 1/3, pods: 0/10', Limit: 'limits.cpu: 500m/2' });
  });
});
