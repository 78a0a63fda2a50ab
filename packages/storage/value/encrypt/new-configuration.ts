import { randomBytes } from 'node:crypto';

/**
 * The text of an EncryptionConfiguration with a fresh key: what a first start writes when it was given none. Resources are
 * written with the new key; values from before, in the clear, stay readable.
 */
export function newEncryptionConfiguration(options: {
  readonly resources: readonly string[];
  readonly provider: 'aesgcm' | 'secretbox';
  readonly keyName: string;
}): string {
  const { resources, provider, keyName } = options;
  return `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [${resources.map((resource) => JSON.stringify(resource)).join(', ')}]
    providers:
      - ${provider}:
          keys:
            - name: ${JSON.stringify(keyName)}
              secret: ${randomBytes(32).toString('base64')}
      - identity: {}
`;
}
