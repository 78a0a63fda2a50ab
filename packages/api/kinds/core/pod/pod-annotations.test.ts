import { expect, it } from 'vitest';
import { createProblems } from '../../testing/written-object.ts';
import { pod } from '../pod.ts';

const problems = (annotations: Readonly<Record<string, string>>): readonly string[] =>
  createProblems(pod, { metadata: { annotations }, spec: { containers: [{ name: 'c', image: 'i' }] } });

const tolerations = 'scheduler.alpha.kubernetes.io/tolerations';
const cost = 'controller.kubernetes.io/pod-deletion-cost';
const seccomp = 'seccomp.security.alpha.kubernetes.io/pod';
const appArmor = 'container.apparmor.security.beta.kubernetes.io';

it.each<[string, Readonly<Record<string, string>>]>([
  ['tolerations', { [tolerations]: '[{"key":"a","operator":"Exists","effect":"NoExecute","tolerationSeconds":3}]' }],
  ['costs', { [cost]: '-100' }],
  ['profiles', { [seccomp]: 'localhost/p', [`${appArmor}/c`]: 'localhost/q' }],
  ['anything else', { tolerations: '[' }],
])('takes %s in annotations', (_what, annotations) => {
  expect(problems(annotations)).toEqual([]);
});

it('reports what is wrong with them', () => {
  const wrong = {
    'kubernetes.io/config.mirror': 'm',
    [tolerations]: '[{"operator":"Exists","value":"v"},{"key":"a","effect":"Now"}]',
    [cost]: '007',
    [seccomp]: 'none',
    [`${appArmor}/d`]: 'p',
  };
  expect(problems(wrong)).toEqual([
    'metadata.annotations[kubernetes.io/config.mirror]: Invalid value: "m": must set spec.nodeName if mirror pod annotation is set',
    `metadata.annotations.${tolerations}[0].operator: Invalid value: "v": value must be empty when \`operator\` is 'Exists'`,
    `metadata.annotations.${tolerations}[1].effect: Unsupported value: "Now": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"`,
    `metadata.annotations[${cost}]: Invalid value: "007": must be a 32bit integer`,
    `metadata.annotations.${seccomp}: Invalid value: "none": must be a valid seccomp profile`,
    `metadata.annotations[${appArmor}/d]: Invalid value: "d": container not found`,
    `metadata.annotations[${appArmor}/d]: Invalid value: "p": invalid AppArmor profile name: "p"`,
  ]);
  expect(problems({ [tolerations]: '"all"' })).toEqual([
    `metadata.annotations: Invalid value: "${tolerations}": json: cannot unmarshal string into Go value of type []core.Toleration`,
  ]);
});
