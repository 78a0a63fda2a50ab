import { describe, expect, it } from 'vitest';
import { createProblems, type Fields, updateProblems } from '../../testing/written-object.ts';
import { pod } from '../pod.ts';
import { appArmorPrefix, seccompContainerPrefix, seccompPod } from './profile-annotations.ts';

interface Given {
  readonly annotations: Readonly<Record<string, string>>;
  readonly ofPod?: Fields;
  readonly ofContainer?: Fields;
  readonly spec?: Fields;
}

function podOf({ annotations, ofPod, ofContainer, spec }: Given): Fields {
  const container = { name: 'c', image: 'i', ...(ofContainer === undefined ? {} : { securityContext: ofContainer }) };
  const securityContext = ofPod === undefined ? {} : { securityContext: ofPod };
  return { metadata: { annotations }, spec: { serviceAccountName: 'default', containers: [container], ...securityContext, ...spec } };
}

const seccomp = (type: string, localhostProfile?: string): Fields => ({ seccompProfile: { type, localhostProfile } });
const appArmor = (type: string, localhostProfile?: string): Fields => ({ appArmorProfile: { type, localhostProfile } });

describe('the profile of a new pod in an annotation and in a field', () => {
  const same: readonly Given[] = [
    { annotations: { [seccompPod]: 'docker/default' }, ofPod: seccomp('RuntimeDefault') },
    { annotations: { [seccompPod]: 'localhost/a/b.json' }, ofPod: seccomp('Localhost', 'a/b.json') },
    { annotations: { [`${seccompContainerPrefix}c`]: 'unconfined' }, ofContainer: seccomp('Unconfined') },
    { annotations: { [`${seccompContainerPrefix}c`]: 'unconfined' }, ofPod: seccomp('RuntimeDefault') },
    { annotations: { [`${appArmorPrefix}c`]: 'runtime/default' }, ofPod: appArmor('RuntimeDefault') },
    { annotations: { [`${appArmorPrefix}c`]: 'localhost/p' }, ofPod: appArmor('Unconfined'), ofContainer: appArmor('Localhost', 'p') },
  ];
  it.each(same)('is the same: %j', (given) => {
    expect(createProblems(pod, podOf(given))).toEqual([]);
  });

  const different: readonly (Given & { readonly problem: string })[] = [
    {
      annotations: { [seccompPod]: 'unconfined' },
      ofPod: seccomp('RuntimeDefault'),
      problem: 'spec.securityContext.seccompProfile.type: Forbidden: seccomp type in annotation and field must match',
    },
    {
      annotations: { [`${seccompContainerPrefix}c`]: 'localhost/a' },
      ofContainer: seccomp('Localhost', 'b'),
      problem:
        'spec.containers[0].securityContext.seccompProfile.localhostProfile: Forbidden: seccomp profile in annotation and field must match',
    },
    {
      annotations: { [`${appArmorPrefix}c`]: 'unconfined' },
      ofPod: appArmor('Localhost', 'p'),
      problem: 'spec.containers[0].securityContext.appArmorProfile.type: Forbidden: apparmor type in annotation and field must match',
    },
    {
      annotations: { [`${appArmorPrefix}c`]: 'localhost/q' },
      ofContainer: appArmor('Localhost', 'p'),
      problem:
        'spec.containers[0].securityContext.appArmorProfile.localhostProfile: Forbidden: apparmor profile in annotation and field must match',
    },
  ];
  it.each(different)('differs: $problem', ({ problem, ...given }) => {
    expect(createProblems(pod, podOf(given))).toEqual([problem]);
  });

  it('is of no interest once the pod is there', () => {
    const given = podOf({ annotations: { [seccompPod]: 'unconfined' }, ofPod: seccomp('RuntimeDefault') });
    expect(updateProblems(pod, given, given)).toEqual([]);
  });
});
