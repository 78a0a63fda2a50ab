/** Where the kubelet keeps things of a pod; upstream's layout below its root directory. Pure. */
import { isAbsolute, join } from 'node:path';
import type { Pod, Volume } from '../types.ts';

export class PodDirectories {
  readonly rootDir: string;
  readonly logsDir: string;

  constructor(rootDir: string, logsDir: string) {
    this.rootDir = rootDir;
    this.logsDir = logsDir;
  }

  /** Where whoever runs the node puts profiles of its own. */
  get seccompProfiles(): string {
    return join(this.rootDir, 'seccomp');
  }

  get pods(): string {
    return join(this.rootDir, 'pods');
  }

  pod(uid: string): string {
    return join(this.pods, uid);
  }

  volumes(uid: string): string {
    return join(this.pod(uid), 'volumes');
  }

  volume(uid: string, volume: Volume): string {
    return join(this.volumes(uid), pluginDirectory(volume), volume.name);
  }

  subPath(uid: string, volume: string, container: string, index: number): string {
    return join(this.subPaths(uid), volume, container, String(index));
  }

  subPaths(uid: string): string {
    return join(this.pod(uid), 'volume-subpaths');
  }

  container(uid: string, container: string): string {
    return join(this.pod(uid), 'containers', container);
  }

  hostsFile(uid: string): string {
    return join(this.pod(uid), 'etc-hosts');
  }

  logs(pod: Pod): string {
    const { namespace, name, uid } = pod.metadata;
    return join(this.logsDir, `${namespace}_${name}_${uid}`);
  }

  /** A container's log; runtimes tell its path in full or below the pod's log directory. */
  logFile(pod: Pod, logPath: string): string {
    return isAbsolute(logPath) ? logPath : join(this.logs(pod), logPath);
  }
}

/** Directory of the volume's plugin, `/` written as `~`. */
export function pluginDirectory(volume: Volume): string {
  if (volume.configMap !== undefined) return 'kubernetes.io~configmap';
  if (volume.secret !== undefined) return 'kubernetes.io~secret';
  if (volume.projected !== undefined) return 'kubernetes.io~projected';
  if (volume.downwardAPI !== undefined) return 'kubernetes.io~downward-api';
  if (volume.emptyDir !== undefined) return 'kubernetes.io~empty-dir';
  if (volume.hostPath !== undefined) return 'kubernetes.io~host-path';
  if (volume.csi !== undefined) return 'kubernetes.io~csi';
  return 'coffer~unsupported';
}
