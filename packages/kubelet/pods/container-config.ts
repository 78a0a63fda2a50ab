/**
 * Everything the runtime needs to create one container: environment, command, mounts, security, resources. Rejects with upstream's
 * message when a reference cannot be resolved; nothing is left to guess in the runtime.
 */

import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, realpath, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerConfig, ImageMount, ImageStatus, Mount } from '@coffer/cri/runtime/container-runtime';
import { containerEnv } from '../env/container-env.ts';
import { envFileValue } from '../env/env-file.ts';
import { expand } from '../env/expand.ts';
import { type ServiceLookup, serviceEnv } from '../env/service-env.ts';
import type { ObjectSource } from '../objects/source-record.ts';
import { containerResources } from '../resources/pod-resources.ts';
import { containerAnnotations, containerHash, containerLabels } from '../runtime/labels.ts';
import { type Container, type ContainerKind, formatPod, type Pod } from '../types.ts';
import type { Mounter } from '../volumes/mounter.ts';
import { messageOf } from '../volumes/payloads.ts';
import type { PodDirectories } from '../volumes/pod-directories.ts';
import { isRecursivelyReadOnly } from '../volumes/recursive-read-only.ts';
import { prepareSubPath, refuseUnsafe, SubPathNotMade } from '../volumes/sub-path.ts';
import type { VolumeManager } from '../volumes/volume-manager.ts';
import type { HostIdentity } from './network-identity.ts';
import { hostsFile } from './network-identity.ts';
import { containerSecurity, nonRootViolation } from './security.ts';

export interface ContainerConfigDeps {
  readonly directories: PodDirectories;
  readonly mounter: Mounter;
  readonly volumes: VolumeManager;
  readonly services: ServiceLookup;
  readonly allocatable: () => Readonly<Record<string, string>>;
  readonly memoryCapacityBytes: number;
  /** Whether the pod's mounts can be read-only with what is mounted below them. */
  readonly recursiveReadOnly: (pod: Pod) => boolean;
}

type VolumeMount = NonNullable<Container['volumeMounts']>[number];

export interface ContainerConfigRequest {
  readonly pod: Pod;
  readonly container: Container;
  readonly kind: ContainerKind;
  readonly attempt: number;
  readonly image: ImageStatus | undefined;
  /** Image of each image volume that this container mounts, by volume. */
  readonly volumeImages: ReadonlyMap<string, string>;
  readonly objects: ObjectSource;
  readonly identity: HostIdentity;
  readonly podIps: readonly string[];
  readonly hostIps: readonly string[];
}

export async function buildContainerConfig(deps: ContainerConfigDeps, request: ContainerConfigRequest): Promise<ContainerConfig> {
  const { pod, container, attempt, image } = request;
  const violation = nonRootViolation(pod, container, image, `pod: ${JSON.stringify(formatPod(pod))}, container: ${container.name}`);
  if (violation !== undefined) throw new Error(violation);
  if (!deps.services.ready) throw new Error('services have not yet been read at least once, cannot construct envvars');
  const env = await containerEnv(container, {
    pod,
    podIps: request.podIps,
    hostIps: request.hostIps,
    objects: request.objects,
    allocatable: deps.allocatable(),
    services: serviceEnv(deps.services.list(pod.spec.hostNetwork === true), pod.metadata.namespace, pod.spec.enableServiceLinks !== false),
    readEnvFile: (volume, path, key) => readEnvFile(deps, pod, volume, path, key),
  });
  const variables = new Map(env.variables.map(({ name, value }) => [name, Buffer.from(value).toString('utf8')]));
  const mounts = await volumeMounts(deps, request, variables);
  const imageMounts = imageVolumeMounts(request, variables);
  if (!mounts.some((mount) => mount.containerPath === '/etc/hosts')) mounts.push(await hostsMount(deps, request));
  const messagePath = container.terminationMessagePath ?? '/dev/termination-log';
  const messageFile = await terminationMessageFile(deps, pod, container);
  mounts.push({ hostPath: messageFile, containerPath: messagePath, readOnly: false, propagation: 'private' });
  return {
    name: container.name,
    attempt,
    image: container.image ?? '',
    command: (container.command ?? []).map(env.expand),
    args: (container.args ?? []).map(env.expand),
    workingDir: container.workingDir ?? '',
    env: env.variables,
    mounts,
    ...(imageMounts.length > 0 ? { imageMounts } : {}),
    logPath: join(container.name, `${attempt}.log`),
    stdin: container.stdin === true,
    stdinOnce: container.stdinOnce === true,
    tty: container.tty === true,
    labels: containerLabels(pod, container),
    annotations: containerAnnotations({
      hash: containerHash(container),
      attempt,
      terminationMessageFile: messageFile,
      terminationMessagePolicy: container.terminationMessagePolicy ?? 'File',
      graceSeconds: pod.spec.terminationGracePeriodSeconds ?? 30,
      sources: env.sources,
    }),
    security: containerSecurity(pod, container, image, deps.directories.seccompProfiles),
    resources: containerResources(pod, container, deps.memoryCapacityBytes),
  };
}

async function volumeMounts(
  deps: ContainerConfigDeps,
  request: ContainerConfigRequest,
  variables: ReadonlyMap<string, string>,
): Promise<Mount[]> {
  const { pod, container } = request;
  const mounts: Mount[] = [];
  for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
    const volume = (pod.spec.volumes ?? []).find((v) => v.name === mount.name);
    if (volume?.image !== undefined) continue;
    const path = deps.volumes.path(pod.metadata.uid, mount.name);
    if (volume === undefined || path === undefined) {
      throw new Error(`cannot find volume ${JSON.stringify(mount.name)} to mount into container ${JSON.stringify(container.name)}`);
    }
    const subPath = subPathOf(mount, variables);
    let hostPath = path;
    if (subPath !== '') {
      refuseUnsafe(subPath);
      hostPath = await prepareSubPath(deps.mounter, {
        volumePath: path,
        subPath,
        target: deps.directories.subPath(pod.metadata.uid, mount.name, container.name, index),
      }).catch((error: unknown) => {
        const failed = error instanceof SubPathNotMade ? 'create subPath directory' : 'prepare subPath';
        const where = `volumeMount ${JSON.stringify(mount.name)} of container ${JSON.stringify(container.name)}`;
        throw new Error(`failed to ${failed} for ${where}`, { cause: error });
      });
    }
    const written =
      volume.configMap !== undefined || volume.secret !== undefined || volume.projected !== undefined || volume.downwardAPI !== undefined;
    mounts.push({
      hostPath,
      containerPath: absolute(mount.mountPath),
      // What the kubelet writes is read-only for containers, whatever the spec says.
      readOnly: mount.readOnly === true || written,
      recursiveReadOnly: recursiveReadOnly(mount, deps.recursiveReadOnly(pod)),
      propagation:
        mount.mountPropagation === 'Bidirectional'
          ? 'bidirectional'
          : mount.mountPropagation === 'HostToContainer'
            ? 'host-to-container'
            : 'private',
    });
  }
  return mounts;
}

function recursiveReadOnly(mount: VolumeMount, supported: boolean): boolean {
  try {
    return isRecursivelyReadOnly(mount, supported);
  } catch (error) {
    throw new Error(`failed to resolve recursive read-only mode: ${messageOf(error)}`, { cause: error });
  }
}

/** Image volumes are the runtime's: it mounts the image's files itself, read-only. */
function imageVolumeMounts(request: ContainerConfigRequest, variables: ReadonlyMap<string, string>): ImageMount[] {
  return (request.container.volumeMounts ?? []).flatMap((mount) => {
    const image = request.volumeImages.get(mount.name);
    if (image === undefined) return [];
    const subPath = subPathOf(mount, variables);
    if (subPath !== '') refuseUnsafe(subPath);
    return [{ image, containerPath: absolute(mount.mountPath), subPath }];
  });
}

function subPathOf(mount: VolumeMount, variables: ReadonlyMap<string, string>): string {
  const { subPathExpr = '', subPath = '' } = mount;
  return subPathExpr !== '' ? expandStrictly(subPathExpr, variables) : subPath;
}

function absolute(path: string): string {
  return path.startsWith('/') ? path : `/${path}`;
}

/** Expands `$(VAR)`; a variable that is not defined is an error here. */
function expandStrictly(text: string, variables: ReadonlyMap<string, string>): string {
  return expand(text, (name) => {
    const value = variables.get(name);
    if (value === undefined) throw new Error(`missing value for ${JSON.stringify(name)}`);
    return value;
  });
}

async function hostsMount(deps: ContainerConfigDeps, request: ContainerConfigRequest): Promise<Mount> {
  const { pod } = request;
  const path = deps.directories.hostsFile(pod.metadata.uid);
  const hostFile = pod.spec.hostNetwork === true ? await readFile('/etc/hosts', 'utf8') : undefined;
  await mkdir(deps.directories.pod(pod.metadata.uid), { recursive: true, mode: 0o750 });
  await writeFile(path, hostsFile(pod, request.identity, request.podIps, hostFile), { mode: 0o644 });
  return { hostPath: path, containerPath: '/etc/hosts', readOnly: false, propagation: 'private' };
}

/** An empty file per container instance, writable by whatever user the container runs as. */
async function terminationMessageFile(deps: ContainerConfigDeps, pod: Pod, container: Container): Promise<string> {
  const directory = deps.directories.container(pod.metadata.uid, container.name);
  await mkdir(directory, { recursive: true, mode: 0o750 });
  const path = join(directory, randomBytes(4).toString('hex'));
  await writeFile(path, '', { mode: 0o666 });
  await chmod(path, 0o666);
  return path;
}

async function readEnvFile(deps: ContainerConfigDeps, pod: Pod, volume: string, path: string, key: string): Promise<string | undefined> {
  const root = deps.volumes.path(pod.metadata.uid, volume);
  if (root === undefined) throw new Error(`cannot find the volume ${JSON.stringify(volume)} referenced by FileKeyRef`);
  const realRoot = await realpath(root);
  let text: string;
  try {
    const file = await realpath(join(realRoot, path));
    if (!file.startsWith(`${realRoot}/`)) throw new Error('the file is outside of its volume');
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new Error("couldn't parse env file", { cause: error });
  }
  try {
    return envFileValue(text, key);
  } catch (error) {
    throw new Error("couldn't parse env file", { cause: error });
  }
}
