import { pod } from '@coffer/api/kinds/core/pod';
import type { KubeObject } from '@coffer/api/meta/object';
import { describe, expect, test } from 'vitest';
import { WarningList } from '../../request/context.ts';
import { podStrategy } from './pod-strategy.ts';

const appArmor = 'container.apparmor.security.beta.kubernetes.io/';
const context = { user: { name: 'u', groups: [] }, dryRun: false, now: '2026-01-01T00:00:00Z', wantsAdvice: false };

function create(metadata: Readonly<Record<string, unknown>>, spec: Readonly<Record<string, unknown>>) {
  const object = structuredClone({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'n', ...metadata },
    spec: { containers: [{ name: 'c', image: 'i' }], ...spec },
  }) as unknown as KubeObject;
  pod.applyDefaults(object);
  const warnings = new WarningList();
  podStrategy.prepareForCreate?.(object, context, warnings);
  return {
    spec: object.spec as Record<string, unknown>,
    warnings: warnings.texts,
    errors: pod.validate(object).map((error) => error.message),
  };
}

describe('label keys of a new pod', () => {
  const term = (more: Readonly<Record<string, unknown>>) => ({ topologyKey: 'zone', labelSelector: {}, ...more });

  test('become requirements with the value of the pod, where it has one', () => {
    const hard = term({ matchLabelKeys: ['a', 'absent'], mismatchLabelKeys: ['b'] });
    const soft = { weight: 1, podAffinityTerm: term({ matchLabelKeys: ['b'] }) };
    const spread = { ...term({ matchLabelKeys: ['a'] }), maxSkew: 1, whenUnsatisfiable: 'DoNotSchedule' };
    const { spec, errors } = create(
      { labels: { a: '1', b: '2' } },
      {
        affinity: {
          podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [hard] },
          podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [soft] },
        },
        topologySpreadConstraints: [spread],
      },
    );
    expect(errors).toEqual([]);
    const is = (key: string, value: string) => ({ key, operator: 'In', values: [value] });
    expect(spec.affinity).toMatchObject({
      podAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [
          { labelSelector: { matchExpressions: [is('a', '1'), { key: 'b', operator: 'NotIn', values: ['2'] }] } },
        ],
      },
      podAntiAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [{ podAffinityTerm: { labelSelector: { matchExpressions: [is('b', '2')] } } }],
      },
    });
    expect(spec.topologySpreadConstraints).toMatchObject([{ labelSelector: { matchExpressions: [is('a', '1')] } }]);
  });

  test('are refused where the selector has the key already, or where there is none', () => {
    const spread = { maxSkew: 1, whenUnsatisfiable: 'DoNotSchedule', topologyKey: 'zone', matchLabelKeys: ['a'] };
    const selected = { ...spread, labelSelector: { matchLabels: { a: '1' } } };
    const twice = create({ labels: { a: '1' } }, { topologySpreadConstraints: [selected] });
    expect(twice.errors.join()).toContain('exists in both matchLabelKeys and labelSelector');
    expect(create({}, { topologySpreadConstraints: [selected] }).errors).toEqual([]);
    const none = create({ labels: { a: '1' } }, { topologySpreadConstraints: [spread] });
    expect(none.errors.join()).toContain('must not be specified when labelSelector is not set');
    expect(none.spec.topologySpreadConstraints).not.toHaveProperty('0.labelSelector');
  });
});

describe('AppArmor annotations of a new pod', () => {
  const warning = `metadata.annotations[${appArmor}c]: deprecated since v1.30; use the "appArmorProfile" field instead`;
  const annotated = (value: string) => ({ annotations: { [`${appArmor}c`]: value } });

  test.each([
    ['unconfined', { type: 'Unconfined' }],
    ['runtime/default', { type: 'RuntimeDefault' }],
    ['localhost/strict', { type: 'Localhost', localhostProfile: 'strict' }],
  ])('%s becomes the profile of its container, with a warning', (value, appArmorProfile) => {
    const { spec, warnings } = create(annotated(value), {});
    expect(spec.containers).toMatchObject([{ securityContext: { appArmorProfile } }]);
    expect(warnings).toEqual([warning]);
  });

  test('say nothing new where the container has a profile or the pod has the same', () => {
    const own = { containers: [{ name: 'c', image: 'i', securityContext: { appArmorProfile: { type: 'RuntimeDefault' } } }] };
    expect(create(annotated('unconfined'), own)).toMatchObject({ warnings: [], spec: own });
    const { spec, warnings } = create(annotated('unconfined'), { securityContext: { appArmorProfile: { type: 'Unconfined' } } });
    expect(warnings).toEqual([]);
    expect(spec.containers).not.toHaveProperty('0.securityContext');
  });

  test('without a usable profile only warn', () => {
    const { spec, warnings } = create(annotated('localhost/'), {});
    expect(warnings).toEqual([warning]);
    expect(spec.containers).not.toHaveProperty('0.securityContext');
  });
});
