import { describe, expect, it } from 'vitest';
import { requireImageMounts } from './image-volumes.ts';

const whole = { image: 'sha256:1', containerPath: '/data', subPath: '' };
const part = { ...whole, subPath: 'models' };

describe('requireImageMounts', () => {
  it.each([
    ['containerd', '1.6.20', [whole], 'image volumes need containerd 2.1 or newer: this node has containerd 1.6.20'],
    ['containerd', 'v2.0.5', [whole], 'image volumes need containerd 2.1 or newer: this node has containerd v2.0.5'],
    ['containerd', '2.1.9+unknown', [whole], undefined],
    ['containerd', '2.1.9', [whole, part], 'sub paths of image volumes need containerd 2.2 or newer: this node has containerd 2.1.9'],
    ['containerd', '2.2.0', [part], undefined],
    ['containerd', '10.0.0', [part], undefined],
    ['containerd', '1.6.20', [], undefined],
    ['cri-o', '1.30.4', [whole], 'image volumes need CRI-O 1.31 or newer: this node has CRI-O 1.30.4'],
    ['cri-o', '1.33.0', [part], undefined],
    ['another', '0.1.0', [part], undefined],
  ] as const)('%s %s with %j', (name, version, mounts, refusal) => {
    const check = () => requireImageMounts({ name, version }, mounts);
    if (refusal === undefined) expect(check).not.toThrow();
    else expect(check).toThrow(refusal);
  });
});
