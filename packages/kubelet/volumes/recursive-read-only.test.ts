import { describe, expect, it } from 'vitest';
import type { Pod } from '../types.ts';
import { isRecursivelyReadOnly, mountsRecursivelyReadOnly } from './recursive-read-only.ts';

describe('isRecursivelyReadOnly', () => {
  const mount = { name: 'v', mountPath: '/v', readOnly: true };

  it.each([
    [undefined, true, false],
    ['Disabled', true, false],
    ['IfPossible', true, true],
    ['IfPossible', false, false],
    ['Enabled', true, true],
  ])('of mode %s where it is supported: %s, is %s', (mode, supported, expected) => {
    expect(isRecursivelyReadOnly({ ...mount, ...(mode === undefined ? {} : { recursiveReadOnly: mode }) }, supported)).toBe(expected);
  });

  it.each([
    [{}, false, 'not supported by the runtime'],
    [{ readOnly: false }, true, 'not read-only'],
    [{ mountPropagation: 'HostToContainer' }, true, 'not compatible with propagation "HostToContainer"'],
  ])('refuses %o', (more, supported, why) => {
    const wanted = { ...mount, recursiveReadOnly: 'Enabled', ...more };
    expect(() => isRecursivelyReadOnly(wanted, supported)).toThrow(`volume "v" requested recursive read-only mode, but it is ${why}`);
  });
});

describe('mountsRecursivelyReadOnly', () => {
  const pod = (runtimeClassName?: string): Pod => ({
    metadata: { name: 'p', namespace: 'default', uid: 'u' },
    spec: { containers: [], ...(runtimeClassName === undefined ? {} : { runtimeClassName }) },
    status: {},
  });
  const handler = (name: string, recursiveReadOnlyMounts: boolean) => ({ name, recursiveReadOnlyMounts });

  it('asks the handler that is the own choice of the runtime', () => {
    expect(mountsRecursivelyReadOnly(pod(), [handler('', true), handler('old', false)])).toBe(true);
    expect(mountsRecursivelyReadOnly(pod(), [handler('', false), handler('new', true)])).toBe(false);
    expect(mountsRecursivelyReadOnly(pod(), [])).toBe(false);
  });

  it('asks all of them for a pod with a class', () => {
    expect(mountsRecursivelyReadOnly(pod('c'), [handler('', true), handler('old', false)])).toBe(false);
    expect(mountsRecursivelyReadOnly(pod('c'), [handler('', true), handler('new', true)])).toBe(true);
  });
});
