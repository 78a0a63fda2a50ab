import { randomBytes } from 'node:crypto';

/**
 * The text of an EncryptionConfiguration with a fresh key: what a first start writes when it was given none. Resources are
 * written with the new key; values from before, in the clear, stay readable unless `readUnencrypted` is false.
 */
export function newEncryptionConfiguration(options: {
  readonly resources: readonly string[];
  readonly provider: 'aesgcm' | 'secretbox';
  readonly keyName: string;
  readonly readUnencrypted?: boolean;
}): string {
  const { resources, provider, keyName, readUnencrypted = true } = options;
  return `${configurationComment}apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [${resources.map((resource) => JSON.stringify(resource)).join(', ')}]
    providers:
      - ${provider}:
          keys:
            - name: ${JSON.stringify(keyName)}
              secret: ${newKeySecret()}
${readUnencrypted ? '      - identity: {}\n' : ''}`;
}

/** Stands at the top of files this program writes. */
export const configurationComment = '# Without these keys the store cannot be read: keep a copy of this file in a safe place.\n';

/** Names are never used twice, so that a missing key can be told from a wrong one. */
export function newKeyName(now: Date): string {
  return `key-${now.toISOString().slice(0, 10).replaceAll('-', '')}-${randomBytes(3).toString('hex')}`;
}

/** 32 random bytes, which every local provider takes as its key. */
export function newKeySecret(): string {
  return randomBytes(32).toString('base64');
}
