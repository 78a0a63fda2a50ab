import { describe, expect, it } from 'vitest';
import type { Fields } from '../testing/written-object.ts';
import { cellsOf, createProblems, statusProblems, updateProblems, written } from '../testing/written-object.ts';
import { deployment } from './deployment.ts';
import { replicaSet } from './replica-set.ts';

const container = { name: 'c', image: 'busybox' };
const template = { metadata: { labels: { a: 'b' } }, spec: { containers: [container] } };
const spec = { selector: { matchLabels: { a: 'b' } }, template };

const create = (fields: Fields): string[] => createProblems(deployment, { spec: { ...spec, ...fields } });

describe('Deployment', () => {
  it('is complete with a selector and a template', () => {
    expect(create({})).toEqual([]);
    const { template: completed, ...rest } = written(deployment, { spec }).spec as Fields;
    expect(rest).toEqual({
      replicas: 1,
      selector: { matchLabels: { a: 'b' } },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '25%', maxSurge: '25%' } },
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
    });
    expect(completed).toMatchObject({ spec: { restartPolicy: 'Always', dnsPolicy: 'ClusterFirst', terminationGracePeriodSeconds: 30 } });
  });

  it('keeps what was said', () => {
    const said = { replicas: 0, strategy: { type: 'Recreate' }, revisionHistoryLimit: 0, progressDeadlineSeconds: 5 };
    expect(written(deployment, { spec: { ...spec, ...said } }).spec).toMatchObject(said);
  });

  it.each<[string, Fields, string[]]>([
    [
      'no selector',
      { selector: undefined },
      [
        'spec.selector: Required value',
        'spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`',
      ],
    ],
    ['an empty selector', { selector: {} }, ['spec.selector: Invalid value: {}: empty selector is invalid for deployment']],
    [
      'a selector of something else',
      { selector: { matchLabels: { a: 'c' } } },
      ['spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`'],
    ],
    ['less than nothing', { replicas: -1 }, ['spec.replicas: Invalid value: -1: must be greater than or equal to 0']],
    [
      'pods that end',
      { template: { ...template, spec: { containers: [container], restartPolicy: 'Never' } } },
      ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
    ],
    ['no containers', { template: { metadata: { labels: { a: 'b' } } } }, ['spec.template.spec.containers: Required value']],
    [
      'a strategy that cannot move',
      { strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: '0%' } } },
      ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0'],
    ],
    [
      'more than all unavailable',
      { strategy: { rollingUpdate: { maxUnavailable: '101%' } } },
      ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%'],
    ],
    [
      'details of another strategy',
      { strategy: { type: 'Recreate', rollingUpdate: {} } },
      ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
    ],
    [
      'a deadline that cannot be met',
      { minReadySeconds: 600 },
      ['spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds'],
    ],
  ])('refuses %s', (_what, fields, want) => {
    expect(create(fields)).toEqual(want);
  });

  it('keeps its selector for ever', () => {
    const changed = { ...spec, selector: { matchLabels: { a: 'c' } }, template: { ...template, metadata: { labels: { a: 'c' } } } };
    expect(updateProblems(deployment, { spec: changed }, { spec })).toEqual([
      'spec.selector: Invalid value: {"matchLabels":{"a":"c"}}: field is immutable',
    ]);
    expect(updateProblems(deployment, { spec: { ...spec, replicas: 3 } }, { spec })).toEqual([]);
  });

  it('counts what can be', () => {
    const status = { replicas: 1, updatedReplicas: 2, readyReplicas: 1, availableReplicas: 1 };
    expect(statusProblems(deployment, { spec, status }, { spec })).toEqual([
      'status.updatedReplicas: Invalid value: 2: cannot be greater than status.replicas',
    ]);
    expect(statusProblems(deployment, { spec, status: { collisionCount: 1 } }, { spec, status: { collisionCount: 2 } })).toEqual([
      'status.collisionCount: Invalid value: 1: cannot be decremented',
    ]);
  });

  it('is shown with its readiness', () => {
    const fields = {
      metadata: { name: 'web', creationTimestamp: '2026-01-01T00:00:00Z' },
      spec: { ...spec, replicas: 3, template: { ...template, spec: { containers: [container, { name: 'd', image: 'nginx:1' }] } } },
      status: { replicas: 3, readyReplicas: 2, updatedReplicas: 3, availableReplicas: 1 },
    };
    expect(cellsOf(deployment, fields, Date.parse('2026-01-01T01:30:00Z'))).toEqual({
      Name: 'web',
      Ready: '2/3',
      'Up-to-date': 3,
      Available: 1,
      Age: '90m',
      Containers: 'c,d',
      Images: 'busybox,nginx:1',
      Selector: 'a=b',
    });
  });
});

describe('ReplicaSet', () => {
  it('defaults to one pod', () => {
    expect(createProblems(replicaSet, { spec })).toEqual([]);
    expect(written(replicaSet, { spec }).spec).toMatchObject({ replicas: 1 });
  });

  it.each<[string, Fields, string[]]>([
    [
      'no selector',
      { selector: undefined },
      [
        'spec.selector: Required value',
        'spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`',
      ],
    ],
    [
      'pods with a deadline',
      { template: { ...template, spec: { containers: [container], activeDeadlineSeconds: 5 } } },
      ['spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported'],
    ],
    ['a negative wait', { minReadySeconds: -1 }, ['spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0']],
  ])('refuses %s', (_what, fields, want) => {
    expect(createProblems(replicaSet, { spec: { ...spec, ...fields } })).toEqual(want);
  });

  it('counts what can be', () => {
    const status = { replicas: 1, readyReplicas: 0, availableReplicas: 1, fullyLabeledReplicas: 2 };
    expect(statusProblems(replicaSet, { spec, status }, { spec })).toEqual([
      'status.fullyLabeledReplicas: Invalid value: 2: cannot be greater than status.replicas',
      'status.availableReplicas: Invalid value: 1: cannot be greater than readyReplicas',
    ]);
  });

  it('is shown with its counts', () => {
    const cells = cellsOf(replicaSet, { spec: { ...spec, replicas: 2 }, status: { replicas: 2, readyReplicas: 1 } }, 0);
    expect(cells).toMatchObject({ Desired: 2, Current: 2, Ready: 1, Age: '<unknown>', Selector: 'a=b' });
    expect(replicaSet.selectableFields(written(replicaSet, { spec, status: { replicas: 2 } }))).toEqual({ 'status.replicas': '2' });
  });
});
