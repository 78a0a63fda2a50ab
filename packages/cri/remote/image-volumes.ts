/** Which runtimes mount images as volumes: an older one ignores what it does not know, and mounts nothing or too much. */
import { type ImageMount, RuntimeRefusal } from '../runtime/container-runtime.ts';

interface Support {
  readonly name: string;
  readonly volumes: readonly [major: number, minor: number];
  readonly subPaths: readonly [major: number, minor: number];
}

const support: Readonly<Record<string, Support>> = {
  containerd: { name: 'containerd', volumes: [2, 1], subPaths: [2, 2] },
  'cri-o': { name: 'CRI-O', volumes: [1, 31], subPaths: [1, 33] },
};

/** Throws a RuntimeRefusal when the runtime is known to be too old for these mounts. */
export function requireImageMounts(runtime: { readonly name: string; readonly version: string }, mounts: readonly ImageMount[]): void {
  const known = support[runtime.name];
  const [, major = '', minor = ''] = /^v?(\d+)\.(\d+)/.exec(runtime.version) ?? [];
  if (mounts.length === 0 || known === undefined || major === '') return;
  const older = ([firstMajor, firstMinor]: readonly [number, number]) =>
    Number(major) < firstMajor || (Number(major) === firstMajor && Number(minor) < firstMinor);
  const refuse = (what: string, first: readonly [number, number]): never => {
    const text = `${what} need ${known.name} ${first.join('.')} or newer: this node has ${known.name} ${runtime.version}`;
    throw new RuntimeRefusal('CreateContainerError', text);
  };
  if (older(known.volumes)) refuse('image volumes', known.volumes);
  if (older(known.subPaths) && mounts.some(({ subPath }) => subPath !== '')) refuse('sub paths of image volumes', known.subPaths);
}
