import { describe, expect, it } from 'vitest';
import { podFromObject } from '../types.ts';
import { containerSecurity } from './security.ts';

describe('containerSecurity', () => {
  it.each([
    [
      'one of the node is found among its profiles',
      { type: 'Localhost', localhostProfile: 'team/a.json' },
      { kind: 'localhost', path: '/node/seccomp/team/a.json' },
    ],
    ["the runtime's", { type: 'RuntimeDefault' }, { kind: 'runtime-default' }],
    ['none', undefined, { kind: 'unconfined' }],
  ])('seccomp profile: %s', (_name, seccompProfile, expected) => {
    const container = { name: 'c', image: 'i', ...(seccompProfile === undefined ? {} : { securityContext: { seccompProfile } }) };
    const pod = podFromObject({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p', namespace: 'd', uid: 'u' },
      spec: { containers: [container] },
    });
    expect(containerSecurity(pod, container, undefined, '/node/seccomp').seccomp).toEqual(expected);
  });
});
