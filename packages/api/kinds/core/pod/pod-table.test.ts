import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../../../meta/object.ts';
import { podTable } from './pod-table.ts';

const now = Date.parse('2024-01-01T01:00:00Z');

function row(status: Record<string, unknown>, spec: Record<string, unknown> = {}, metadata: Record<string, unknown> = {}): unknown[] {
  const object: KubeObject = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', creationTimestamp: '2024-01-01T00:00:00Z', ...metadata },
    spec: { containers: [{ name: 'c' }], ...spec },
    status,
  };
  return podTable.cells(object, now);
}

const short = (cells: unknown[]): unknown[] => cells.slice(1, 4);
const main = (state: unknown, more: Record<string, unknown> = {}) => ({ name: 'c', state, restartCount: 0, ready: false, ...more });

describe('podTable', () => {
  it('shows a new pod', () => {
    expect(row({ phase: 'Pending' })).toEqual(['p', '0/1', 'Pending', '0', '60m', '<none>', '<none>', '<none>', '<none>']);
  });

  it.each([
    ['running', { phase: 'Running', containerStatuses: [main({ running: {} }, { ready: true })] }, {}, ['1/1', 'Running', '0']],
    [
      'crashing',
      {
        phase: 'Running',
        containerStatuses: [
          main(
            { waiting: { reason: 'CrashLoopBackOff' } },
            { restartCount: 3, lastState: { terminated: { exitCode: 1, finishedAt: '2024-01-01T00:55:00Z' } } },
          ),
        ],
      },
      {},
      ['0/1', 'CrashLoopBackOff', '3 (5m ago)'],
    ],
    ['exited', { phase: 'Failed', containerStatuses: [main({ terminated: { exitCode: 3 } })] }, {}, ['0/1', 'ExitCode:3', '0']],
    [
      'first of two init containers',
      { phase: 'Pending', initContainerStatuses: [main({ running: {} }, { name: 'i' })] },
      { initContainers: [{ name: 'i' }, { name: 'j' }] },
      ['0/1', 'Init:0/2', '0'],
    ],
    [
      'failed init container',
      { phase: 'Pending', initContainerStatuses: [main({ terminated: { exitCode: 2, reason: 'Error' } }, { name: 'i' })] },
      { initContainers: [{ name: 'i' }] },
      ['0/1', 'Init:Error', '0'],
    ],
    [
      'sidecar beside a container',
      {
        phase: 'Running',
        initContainerStatuses: [main({ running: {} }, { name: 's', started: true, ready: true, restartCount: 1 })],
        containerStatuses: [main({ running: {} }, { ready: true })],
      },
      { initContainers: [{ name: 's', restartPolicy: 'Always' }] },
      ['2/2', 'Running', '1'],
    ],
    [
      'held by a gate',
      { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }] },
      {},
      ['0/1', 'SchedulingGated', '0'],
    ],
    [
      'one done, one running, not ready',
      {
        phase: 'Running',
        containerStatuses: [main({ terminated: { exitCode: 0, reason: 'Completed' } }), main({ running: {} }, { name: 'd', ready: true })],
      },
      { containers: [{ name: 'c' }, { name: 'd' }] },
      ['1/2', 'NotReady', '0'],
    ],
  ])('%s', (_name, status, spec, want) => expect(short(row(status, spec))).toEqual(want));

  it('shows a deletion, unless the pod is done', () => {
    const deleted = { deletionTimestamp: '2024-01-01T00:59:00Z' };
    expect(row({ phase: 'Running' }, {}, deleted)[2]).toBe('Terminating');
    expect(
      row({ phase: 'Succeeded', containerStatuses: [main({ terminated: { exitCode: 0, reason: 'Completed' } })] }, {}, deleted)[2],
    ).toBe('Completed');
  });

  it('has wide columns', () => {
    const status = { podIPs: [{ ip: '10.0.0.1' }], nominatedNodeName: 'm', conditions: [{ type: 'g', status: 'True' }] };
    expect(row(status, { nodeName: 'n', readinessGates: [{ conditionType: 'g' }, { conditionType: 'h' }] }).slice(5)).toEqual([
      '10.0.0.1',
      'n',
      'm',
      '1/2',
    ]);
  });

  it('says of a finished pod that its row is done', () => {
    const object: KubeObject = { apiVersion: 'v1', kind: 'Pod', metadata: {}, status: { phase: 'Succeeded' } };
    expect(podTable.conditions?.(object)).toEqual([
      { type: 'Completed', status: 'True', reason: 'Succeeded', message: 'The pod has completed successfully.' },
    ]);
  });
});
