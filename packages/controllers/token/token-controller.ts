/**
 * Fills Secrets of type `kubernetes.io/service-account-token` with a token of the account they name, the cluster's CA and the namespace,
 * and deletes them with their account. Identity: `token-controller`. Tokens are made by the injected issuer and never logged.
 */

import { isReason } from '@coffer/api/errors/status-error';
import type { V1Secret } from '@coffer/api/generated/types';
import { nameOf, namespaceOf, uidOf } from '@coffer/client/rest/api-object';
import { SECRETS, SERVICE_ACCOUNTS } from '@coffer/client/rest/well-known';
import { WorkQueue } from '@coffer/client/workqueue/work-queue';
import type { LoopDeps } from '../common/loop-deps.ts';

/** Makes the long-lived tokens that live in Secrets. */
export interface SecretTokenIssuer {
  issue(
    account: { readonly namespace: string; readonly name: string; readonly uid: string },
    secret: { readonly name: string; readonly uid: string },
  ): Promise<string>;
}

export interface TokenControllerDeps extends LoopDeps {
  readonly tokenIssuer: SecretTokenIssuer;
  /** Certificates in PEM. */
  readonly caBundle: string;
}

const TYPE = 'kubernetes.io/service-account-token';
const ACCOUNT_NAME = 'kubernetes.io/service-account.name';
const ACCOUNT_UID = 'kubernetes.io/service-account.uid';

export async function runTokenController(deps: TokenControllerDeps, signal: AbortSignal): Promise<void> {
  const secrets = deps.informers.informer(SECRETS, { fieldSelector: `type=${TYPE}` });
  const accounts = deps.informers.informer(SERVICE_ACCOUNTS);
  const queue = new WorkQueue(deps.clock);
  const byAccount = 'account';
  secrets.addIndex(byAccount, (secret) => [`${namespaceOf(secret)}/${accountOf(secret)}`]);
  await deps.informers.whenSynced(signal).catch(() => undefined);
  const enqueue = (secret: V1Secret) => queue.add(`${namespaceOf(secret)}/${nameOf(secret)}`);
  secrets.addHandler({ onAdd: enqueue, onUpdate: (_old, secret) => enqueue(secret) });
  accounts.addHandler({
    onAdd: (account) => secrets.byIndex(byAccount, `${namespaceOf(account)}/${nameOf(account)}`).forEach(enqueue),
    onDelete: (account) => secrets.byIndex(byAccount, `${namespaceOf(account)}/${nameOf(account)}`).forEach(enqueue),
  });

  const sync = async (key: string): Promise<void> => {
    const secret = secrets.get(key);
    if (secret === undefined || secret.metadata?.deletionTimestamp !== undefined) return;
    const namespace = namespaceOf(secret);
    const account = await findAccount(namespace, accountOf(secret));
    const wantedUid = secret.metadata?.annotations?.[ACCOUNT_UID] ?? '';
    const client = deps.api.resource(SECRETS);
    try {
      if (account === undefined || (wantedUid !== '' && wantedUid !== uidOf(account))) {
        await client.delete(nameOf(secret), { namespace, body: { preconditions: { uid: uidOf(secret) } }, signal });
        return;
      }
      const data = { ...secret.data };
      const wanted = { 'ca.crt': encode(deps.caBundle), namespace: encode(namespace) };
      const complete =
        data['ca.crt'] === wanted['ca.crt'] && data.namespace === wanted.namespace && (data.token ?? '') !== '' && wantedUid !== '';
      if (complete) return;
      const owner = { namespace, name: nameOf(account), uid: uidOf(account) };
      const secretRef = { name: nameOf(secret), uid: uidOf(secret) };
      const token = (data.token ?? '') === '' ? encode(await deps.tokenIssuer.issue(owner, secretRef)) : data.token;
      const annotations = { ...secret.metadata?.annotations, [ACCOUNT_NAME]: nameOf(account), [ACCOUNT_UID]: uidOf(account) };
      const next = {
        ...secret,
        metadata: { ...secret.metadata, annotations },
        data: { ...data, ...wanted, ...(token === undefined ? {} : { token }) },
      };
      await client.update(next, { namespace, signal });
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
    }
  };
  await queue.run(2, sync, deps.logger, signal);

  /** From the informer, else from the server: the account may be newer than the informer's view. */
  async function findAccount(namespace: string, name: string) {
    const known = accounts.get(`${namespace}/${name}`);
    if (known !== undefined) return known;
    try {
      return await deps.api.resource(SERVICE_ACCOUNTS).get(name, { namespace, signal });
    } catch (error) {
      if (isReason(error, 'NotFound')) return undefined;
      throw error;
    }
  }
}

function accountOf(secret: V1Secret): string {
  return secret.metadata?.annotations?.[ACCOUNT_NAME] ?? '';
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64');
}
