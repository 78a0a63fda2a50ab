import type { KubeObject } from '@coffer/api/meta/object';
import { describe, expect, it } from 'vitest';
import { WarningList } from '../../request/context.ts';
import { ownSpec, specOfPodTemplate, specOfTemplate, withoutSwitchedOffFields } from './switched-off.ts';

const context = { user: { name: 'u', groups: [] }, dryRun: false, now: '2026-01-01T00:00:00Z', wantsAdvice: false };
const spec = {
  containers: [
    { name: 'a', lifecycle: { stopSignal: 'SIGUSR1' } },
    { name: 'b', lifecycle: { stopSignal: 'SIGUSR1', preStop: { sleep: { seconds: 1 } } } },
  ],
  initContainers: [{ name: 'i', lifecycle: { stopSignal: 'SIGUSR1' } }],
  schedulingGroup: { podGroupName: 'g' },
  volumes: [
    {
      name: 'v',
      projected: { sources: [{ clusterTrustBundle: { path: 'p' } }, { podCertificate: { keyPath: 'k' } }, { secret: { name: 's' } }] },
    },
  ],
};
const kept = {
  containers: [{ name: 'a' }, { name: 'b', lifecycle: { preStop: { sleep: { seconds: 1 } } } }],
  initContainers: [{ name: 'i' }],
  volumes: [{ name: 'v', projected: { sources: [{}, {}, { secret: { name: 's' } }] } }],
};
const object = (fields: object): KubeObject =>
  structuredClone({ apiVersion: 'v1', kind: 'X', metadata: {}, ...fields }) as unknown as KubeObject;

describe('withoutSwitchedOffFields', () => {
  it.each([
    ['a pod', ownSpec, (of: object) => ({ spec: of })],
    ['a PodTemplate', specOfTemplate, (of: object) => ({ template: { spec: of } })],
    ['a Deployment', specOfPodTemplate, (of: object) => ({ spec: { template: { spec: of } } })],
  ])('drops from %s what is off, and what is empty then', (_what, podSpecOf, holder) => {
    const created = object(holder(spec));
    withoutSwitchedOffFields({}, podSpecOf).prepareForCreate?.(created, context, new WarningList());
    expect(created).toEqual(object(holder(kept)));
    const updated = object(holder(spec));
    withoutSwitchedOffFields({}, podSpecOf).prepareForUpdate?.(updated, object(holder(kept)), context);
    expect(updated).toEqual(object(holder(kept)));
  });

  it('keeps what was stored before, and runs the rules of the kind afterwards', () => {
    const seen: unknown[] = [];
    const strategy = withoutSwitchedOffFields({ prepareForUpdate: (written) => void seen.push(written.spec) }, ownSpec);
    const updated = object({ spec });
    strategy.prepareForUpdate?.(updated, object({ spec }), context);
    expect(seen).toEqual([spec]);
  });

  it('takes objects without a pod spec', () => {
    const empty = object({});
    withoutSwitchedOffFields({}, specOfPodTemplate).prepareForCreate?.(empty, context, new WarningList());
    expect(empty).toEqual(object({}));
  });
});
