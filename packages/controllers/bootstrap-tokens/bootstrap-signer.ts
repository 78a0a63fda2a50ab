/**
 * Signs the kubeconfig in ConfigMap `cluster-info` of kube-public with every bootstrap token that is meant for it, so that a new node that
 * knows a token can trust what it reads there. Does nothing while there is no such ConfigMap. Identity: `bootstrap-signer`.
 */

import { createHmac } from 'node:crypto';
import { isReason } from '@coffer/api/errors/status-error';
import { equalJson, getOwn, setOwn } from '@coffer/api/meta/safe-object';
import { CONFIG_MAPS, SECRETS } from '@coffer/client/rest/well-known';
import { WorkQueue } from '@coffer/client/workqueue/work-queue';
import type { LoopDeps } from '../common/loop-deps.ts';
import { BOOTSTRAP_TOKEN_TYPE, expiresInMs, LONGEST_WAIT_MS, signingToken, TOKEN_NAMESPACE } from './token-secret.ts';

const namespace = 'kube-public';
const name = 'cluster-info';
const key = `${namespace}/${name}`;
const kubeconfigKey = 'kubeconfig';
const signaturePrefix = 'jws-kubeconfig-';

export async function runBootstrapSigner(deps: LoopDeps, signal: AbortSignal): Promise<void> {
  const secrets = deps.informers.informer(SECRETS, { namespace: TOKEN_NAMESPACE, fieldSelector: `type=${BOOTSTRAP_TOKEN_TYPE}` });
  const configMaps = deps.informers.informer(CONFIG_MAPS, { namespace, fieldSelector: `metadata.name=${name}` });
  const queue = new WorkQueue(deps.clock);
  await deps.informers.whenSynced(signal).catch(() => undefined);
  const enqueue = () => queue.add(key);
  configMaps.addHandler({ onAdd: enqueue, onUpdate: enqueue });
  secrets.addHandler({ onAdd: enqueue, onUpdate: enqueue, onDelete: enqueue });

  const sync = async (): Promise<void> => {
    const configMap = configMaps.get(key);
    if (configMap === undefined) return;
    const data: Record<string, string> = {};
    for (const [entry, value] of Object.entries(configMap.data ?? {})) if (!entry.startsWith(signaturePrefix)) setOwn(data, entry, value);
    const kubeconfig = getOwn(configMap.data ?? {}, kubeconfigKey);
    if (kubeconfig === undefined) {
      deps.logger.warn('the ConfigMap cluster-info holds no kubeconfig to sign', {});
      return;
    }
    let next = Number.POSITIVE_INFINITY;
    for (const secret of secrets.list()) {
      const token = signingToken(secret, deps.clock);
      if (token === undefined) continue;
      setOwn(data, `${signaturePrefix}${token.id}`, detachedSignature(kubeconfig, token));
      next = Math.min(next, expiresInMs(secret, deps.clock) ?? next);
    }
    if (Number.isFinite(next)) queue.addAfter(key, Math.min(next, LONGEST_WAIT_MS));
    if (equalJson(data, configMap.data ?? {})) return;
    try {
      await deps.api.resource(CONFIG_MAPS).update({ ...configMap, data }, { namespace, signal });
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
    }
  };
  await queue.run(1, sync, deps.logger, signal);
}

/** A JWS (HS256) without its content: `header..signature`. */
function detachedSignature(content: string, token: { readonly id: string; readonly secret: string }): string {
  const header = Buffer.from(JSON.stringify({ alg: 'HS256', kid: token.id })).toString('base64url');
  const signed = `${header}.${Buffer.from(content).toString('base64url')}`;
  return `${header}..${createHmac('sha256', token.secret).update(signed).digest('base64url')}`;
}
