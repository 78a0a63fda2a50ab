import { createHash } from 'node:crypto';
import type { Root } from 'protobufjs';

/** The messages of KMS v2: what is stored, and the plugin's service. Names and field numbers are Kubernetes'. */
export const kmsProto = `
syntax = "proto3";
package v2;

message EncryptedObject {
  bytes encryptedData = 1; string keyID = 2; bytes encryptedDEKSource = 3; map<string, bytes> annotations = 4;
  int32 encryptedDEKSourceType = 5;
}

message StatusRequest {}
message StatusResponse { string version = 1; string healthz = 2; string key_id = 3; }
message DecryptRequest { bytes ciphertext = 1; string uid = 2; string key_id = 3; map<string, bytes> annotations = 4; }
message DecryptResponse { bytes plaintext = 1; }
message EncryptRequest { bytes plaintext = 1; string uid = 2; }
message EncryptResponse { bytes ciphertext = 1; string key_id = 2; map<string, bytes> annotations = 3; }
`;

/** How the data was encrypted with what the plugin protects: with the key itself, or with keys derived from a seed. */
export const sourceType = { aesGcmKey: 0, hkdfSeed: 1 } as const;

export interface EncryptedObject {
  readonly encryptedData: Uint8Array;
  readonly keyID: string;
  readonly encryptedDEKSource: Uint8Array;
  readonly annotations: Readonly<Record<string, Uint8Array>>;
  readonly encryptedDEKSourceType: number;
}

const maxKeyIdBytes = 1024;
const maxSourceBytes = 1024;
const maxAnnotationsBytes = 32 * 1024;
const domainName = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$/;

export function encodeEncryptedObject(root: Root, object: EncryptedObject): Uint8Array {
  checkEncryptedObject(object);
  const type = root.lookupType('v2.EncryptedObject');
  return type.encode(type.fromObject(object)).finish();
}

export function decodeEncryptedObject(root: Root, bytes: Uint8Array): EncryptedObject {
  const type = root.lookupType('v2.EncryptedObject');
  const object = type.toObject(type.decode(bytes), { defaults: true, objects: true }) as EncryptedObject;
  checkEncryptedObject(object);
  return object;
}

/** What of an encrypted object names the key material: equal for two objects that the same answer of the plugin decrypts. */
export function sourceId({
  encryptedDEKSourceType,
  encryptedDEKSource,
  keyID,
  annotations,
}: Omit<EncryptedObject, 'encryptedData'>): string {
  const hash = createHash('sha256');
  const add = (bytes: Uint8Array | string) => hash.update(`${bytes.length}:`).update(bytes);
  add(String(encryptedDEKSourceType));
  add(encryptedDEKSource);
  add(keyID);
  for (const name of Object.keys(annotations).sort()) {
    add(name);
    add(annotations[name] ?? '');
  }
  return hash.digest('base64');
}

export function checkEncryptedObject(object: EncryptedObject): void {
  const { encryptedDEKSourceType, encryptedData, encryptedDEKSource, keyID } = object;
  if (encryptedDEKSourceType !== sourceType.aesGcmKey && encryptedDEKSourceType !== sourceType.hkdfSeed) {
    throw new Error(`unknown encryptedDEKSourceType: ${encryptedDEKSourceType}`);
  }
  if (encryptedData.length === 0) throw new Error('encrypted data is empty');
  if (encryptedDEKSource.length === 0) throw new Error('failed to validate encrypted DEK source: encrypted DEK source is empty');
  if (encryptedDEKSource.length > maxSourceBytes) {
    throw new Error(
      `failed to validate encrypted DEK source: encrypted DEK source is ${encryptedDEKSource.length} bytes, which exceeds the max size of ${maxSourceBytes}`,
    );
  }
  checkKeyId(keyID);
  checkAnnotations(object.annotations);
}

export function checkKeyId(keyId: string): void {
  const bytes = Buffer.byteLength(keyId);
  switch (keyIdProblem(keyId)) {
    case 'empty':
      throw new Error('failed to validate key id: keyID is empty');
    case 'too_long':
      throw new Error(`failed to validate key id: keyID is ${bytes} bytes, which exceeds the max size of ${maxKeyIdBytes}`);
    case undefined:
  }
}

/** Why a plugin must not name its key so. */
export function keyIdProblem(keyId: string): 'empty' | 'too_long' | undefined {
  if (keyId === '') return 'empty';
  return Buffer.byteLength(keyId) > maxKeyIdBytes ? 'too_long' : undefined;
}

function checkAnnotations(annotations: EncryptedObject['annotations']): void {
  let bytes = 0;
  for (const name of Object.keys(annotations)) {
    if (!domainName.test(name))
      throw new Error(`failed to validate annotations: ${JSON.stringify(name)} is not a fully qualified domain name`);
    bytes += Buffer.byteLength(name) + (annotations[name]?.length ?? 0);
  }
  if (bytes > maxAnnotationsBytes) {
    throw new Error(
      `failed to validate annotations: total size of annotations is ${bytes}, which exceeds the max size of ${maxAnnotationsBytes}`,
    );
  }
}
