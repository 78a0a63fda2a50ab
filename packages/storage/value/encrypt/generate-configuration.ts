import { randomBytes } from 'node:crypto';
import { dump } from 'js-yaml';

/** An EncryptionConfiguration for whoever has none: Secrets with a fresh AES-256-GCM key. */
export function generateConfiguration(options: { readonly now: Date; readonly readUnencrypted: boolean }): string {
  const key = { name: newKeyName(options.now), secret: newKeySecret() };
  const providers = [{ aesgcm: { keys: [key] } }, ...(options.readUnencrypted ? [{ identity: {} }] : [])];
  return formatConfiguration({
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'EncryptionConfiguration',
    resources: [{ resources: ['secrets'], providers }],
  });
}

/** YAML with a comment that says what the file is worth. */
export function formatConfiguration(document: object): string {
  return `# The keys of what is encrypted in the store. Without this file it cannot be read any more: keep a copy in a safe place.\n${dump(document, { lineWidth: -1 })}`;
}

/** Names are never used twice, so that a missing key can be told from a wrong one. */
export function newKeyName(now: Date): string {
  return `key-${now.toISOString().slice(0, 10).replaceAll('-', '')}-${randomBytes(3).toString('hex')}`;
}

/** 32 random bytes, which every local provider takes. */
export function newKeySecret(): string {
  return randomBytes(32).toString('base64');
}
