import type { V1Container, V1PodSpec, V1ServiceAccount, V1Volume } from '@coffer/api/generated/types';
import type { KubeObject, Mutable } from '@coffer/api/meta/object';
import { getOwn } from '@coffer/api/meta/safe-object';
import type { Clock } from '@coffer/base/time/clock';
import type { ResourceStore } from '@coffer/storage/store/store';
import { generateName } from '../../registry/generic/name-generator.ts';
import { admissionForbidden } from '../forbid.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../plugin.ts';
import { enforcesMountableSecrets, ephemeralSecretsProblem, mountableSecretsProblem } from './mountable-secrets.ts';

const mirrorAnnotation = 'kubernetes.io/config.mirror';
const defaultAccount = 'default';
/** A loop makes the default account of a new namespace: what comes with the namespace waits for it. */
const defaultAttempts = 10;
const defaultRetryMs = 100;
const volumePrefix = 'kube-api-access-';
const tokenMountPath = '/var/run/secrets/kubernetes.io/serviceaccount';
/** An hour and seven seconds: the odd value tells tokens that were mounted automatically from those somebody asked for. */
const tokenSeconds = 3607;

type Spec = Mutable<V1PodSpec> & { serviceAccount?: string };

/** Every pod runs as a ServiceAccount of its namespace, with a token for it mounted and its pull secrets, unless told otherwise. */
export function serviceAccountAdmission(serviceAccounts: ResourceStore, clock: Clock): AdmissionPlugin {
  return {
    name: 'ServiceAccount',
    async admit(attributes) {
      if (!isPodCreate(attributes) || attributes.object === undefined || isMirror(attributes.object)) return;
      const spec = specOf(attributes.object);
      if ((spec.serviceAccountName ?? '') === '') spec.serviceAccountName = defaultAccount;
      if (spec.serviceAccountName === defaultAccount) await waitForDefault(serviceAccounts, attributes.namespace, clock);
      const account = lookUp(serviceAccounts, attributes, spec.serviceAccountName ?? '');
      spec.serviceAccount = spec.serviceAccountName ?? '';
      if (spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true) mountToken(spec);
      if ((spec.imagePullSecrets ?? []).length === 0) {
        const secrets = account.imagePullSecrets ?? [];
        if (secrets.length > 0) spec.imagePullSecrets = secrets.map(({ name }) => (name === undefined ? {} : { name }));
      }
    },
    validate(attributes) {
      const { object } = attributes;
      const isCreate = isPodCreate(attributes);
      if (object === undefined || (!isCreate && !isEphemeralUpdate(attributes))) return;
      const spec = specOf(object);
      if (isMirror(object)) {
        if (isCreate) checkMirror(attributes, spec);
        return;
      }
      const account = lookUp(serviceAccounts, attributes, spec.serviceAccountName ?? '');
      if (!enforcesMountableSecrets(account)) return;
      const problem = isCreate ? mountableSecretsProblem(account, spec) : ephemeralSecretsProblem(account, spec.ephemeralContainers ?? []);
      if (problem !== undefined) throw admissionForbidden(attributes, problem);
    },
  };
}

function isPodCreate({ operation, resource, subresource }: AdmissionAttributes): boolean {
  return operation === 'CREATE' && resource.group === '' && resource.resource === 'pods' && subresource === '';
}

function isEphemeralUpdate({ operation, resource, subresource }: AdmissionAttributes): boolean {
  return operation === 'UPDATE' && resource.group === '' && resource.resource === 'pods' && subresource === 'ephemeralcontainers';
}

function isMirror(pod: KubeObject): boolean {
  return getOwn(pod.metadata.annotations, mirrorAnnotation) !== undefined;
}

function specOf(pod: KubeObject): Spec {
  pod.spec ??= {};
  return pod.spec as Spec;
}

async function waitForDefault(serviceAccounts: ResourceStore, namespace: string, clock: Clock): Promise<void> {
  for (let attempt = 1; attempt < defaultAttempts && serviceAccounts.get(namespace, defaultAccount) === undefined; attempt++) {
    await clock.sleep(defaultRetryMs + Math.random() * defaultRetryMs);
  }
}

function lookUp(serviceAccounts: ResourceStore, attributes: AdmissionAttributes, name: string): V1ServiceAccount {
  const found = serviceAccounts.get(attributes.namespace, name);
  if (found !== undefined) return found.peek() as unknown as V1ServiceAccount;
  const what = `${attributes.namespace}/${name}`;
  throw admissionForbidden(attributes, `error looking up service account ${what}: serviceaccount ${JSON.stringify(name)} not found`);
}

/** Mounts the token volume where a container has nothing else at its path; the volume is added when a container needs it. */
function mountToken(spec: Spec): void {
  const existing = (spec.volumes ?? []).find((volume) => volume.name.startsWith(volumePrefix));
  const volumeName = existing?.name ?? generateName(volumePrefix);
  let needed = false;
  const mounted = (container: V1Container): V1Container => {
    const mounts = container.volumeMounts ?? [];
    if (mounts.some((mount) => mount.mountPath === tokenMountPath)) return container;
    needed = true;
    return { ...container, volumeMounts: [...mounts, { name: volumeName, readOnly: true, mountPath: tokenMountPath }] };
  };
  if (spec.initContainers !== undefined) spec.initContainers = spec.initContainers.map(mounted);
  spec.containers = (spec.containers ?? []).map(mounted);
  if (existing === undefined && needed) spec.volumes = [...(spec.volumes ?? []), tokenVolume(volumeName)];
}

function tokenVolume(name: string): V1Volume {
  return {
    name,
    projected: {
      defaultMode: 0o644,
      sources: [
        { serviceAccountToken: { expirationSeconds: tokenSeconds, path: 'token' } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        { downwardAPI: { items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }] } },
      ],
    },
  };
}

/** A mirror pod shows what a node runs by itself: nothing of the API can be behind it. */
function checkMirror(attributes: AdmissionAttributes, spec: Spec): void {
  if ((spec.serviceAccountName ?? '') !== '') throw admissionForbidden(attributes, 'a mirror pod may not reference service accounts');
  if (referencesSecret(spec)) throw admissionForbidden(attributes, 'a mirror pod may not reference secrets');
  const usesToken = (spec.volumes ?? []).some((v) => (v.projected?.sources ?? []).some((s) => s.serviceAccountToken !== undefined));
  if (usesToken) throw admissionForbidden(attributes, 'a mirror pod may not use ServiceAccountToken volume projections');
}

function referencesSecret(spec: Spec): boolean {
  if ((spec.imagePullSecrets ?? []).length > 0) return true;
  const volumes = spec.volumes ?? [];
  if (volumes.some((v) => v.secret !== undefined || (v.projected?.sources ?? []).some((s) => s.secret !== undefined))) return true;
  const containers = [...(spec.containers ?? []), ...(spec.initContainers ?? [])];
  return containers.some(
    (container) =>
      (container.env ?? []).some((variable) => variable.valueFrom?.secretKeyRef !== undefined) ||
      (container.envFrom ?? []).some((source) => source.secretRef !== undefined),
  );
}
