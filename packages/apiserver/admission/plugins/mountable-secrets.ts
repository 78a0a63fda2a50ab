import type { V1Container, V1EphemeralContainer, V1PodSpec, V1ServiceAccount } from '@coffer/api/generated/types';
import { getOwn } from '@coffer/api/meta/safe-object';

const annotation = 'kubernetes.io/enforce-mountable-secrets';
const truths: ReadonlySet<string> = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);

type SecretUser = Pick<V1Container, 'name' | 'env' | 'envFrom'>;

/** True when pods of an account may use only the Secrets that it lists. */
export function enforcesMountableSecrets(account: V1ServiceAccount): boolean {
  return truths.has(getOwn(account.metadata?.annotations ?? {}, annotation) ?? '');
}

/** Why a pod may not use the Secrets it refers to; undefined when its account lists all of them. */
export function mountableSecretsProblem(account: V1ServiceAccount, spec: V1PodSpec): string | undefined {
  const mountable = new Set((account.secrets ?? []).map(({ name }) => name));
  const unlisted = `is not allowed because service account ${account.metadata?.name ?? ''} does not reference that`;
  for (const { secret } of spec.volumes ?? []) {
    if (secret !== undefined && !mountable.has(secret.secretName)) {
      return `volume with secret.secretName="${secret.secretName ?? ''}" ${unlisted} secret`;
    }
  }
  const problem =
    environmentProblem(account, 'init container', spec.initContainers ?? []) ??
    environmentProblem(account, 'container', spec.containers ?? []);
  if (problem !== undefined) return problem;
  const pullSecrets = new Set((account.imagePullSecrets ?? []).map(({ name }) => name));
  for (const [index, { name }] of (spec.imagePullSecrets ?? []).entries()) {
    if (!pullSecrets.has(name)) return `imagePullSecrets[${index}].name="${name ?? ''}" ${unlisted} imagePullSecret`;
  }
  return undefined;
}

/** The same for containers that are added to a pod later. */
export function ephemeralSecretsProblem(account: V1ServiceAccount, containers: readonly V1EphemeralContainer[]): string | undefined {
  return environmentProblem(account, 'ephemeral container', containers);
}

function environmentProblem(account: V1ServiceAccount, what: string, containers: readonly SecretUser[]): string | undefined {
  const mountable = new Set((account.secrets ?? []).map(({ name }) => name));
  const refusal = (container: string, how: string, secret: string | undefined) =>
    `${what} ${container} with ${how} referencing secret.secretName="${secret ?? ''}" is not allowed because service account ${account.metadata?.name ?? ''} does not reference that secret`;
  for (const { name, env = [], envFrom = [] } of containers) {
    for (const variable of env) {
      const secret = variable.valueFrom?.secretKeyRef;
      if (secret !== undefined && !mountable.has(secret.name)) return refusal(name, `envVar ${variable.name}`, secret.name);
    }
    for (const { secretRef } of envFrom) {
      if (secretRef !== undefined && !mountable.has(secretRef.name)) return refusal(name, 'envFrom', secretRef.name);
    }
  }
  return undefined;
}
