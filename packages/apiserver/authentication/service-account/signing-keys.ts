import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { exportJWK, type JWK } from 'jose';

/** One public key that tokens may be signed with. */
export interface VerificationKey {
  readonly id: string;
  readonly algorithm: 'ES256' | 'RS256';
  readonly key: KeyObject;
}

/** The key that signs new tokens, and every key whose tokens are accepted: two or more during a key rotation. */
export interface SigningKeys {
  readonly signing: VerificationKey & { readonly privateKey: KeyObject };
  readonly verification: readonly VerificationKey[];
}

/** `signingPem` is a private key (EC P-256 or RSA); `verificationPems` are further public or private keys that are accepted. */
export function loadSigningKeys(signingPem: string, verificationPems: readonly string[] = []): SigningKeys {
  const privateKey = createPrivateKey(signingPem);
  const signing = { ...verificationKey(createPublicKey(privateKey)), privateKey };
  const others = verificationPems.map((pem) => verificationKey(createPublicKey(pem)));
  const verification = [signing, ...others].filter((key, index, all) => all.findIndex((other) => other.id === key.id) === index);
  return { signing, verification };
}

/** The PEM blocks of a file that may hold several keys. */
export function splitPemKeys(text: string): string[] {
  return text.match(/-----BEGIN ([A-Z ]+)-----[\s\S]+?-----END \1-----/g) ?? [];
}

/** The key set for `/openid/v1/jwks`: public parts only. */
export async function jsonWebKeySet(keys: SigningKeys): Promise<{ readonly keys: readonly JWK[] }> {
  const exported = keys.verification.map(async ({ id, algorithm, key }) => ({
    use: 'sig',
    kid: id,
    alg: algorithm,
    ...(await exportJWK(key)),
  }));
  return { keys: await Promise.all(exported) };
}

function verificationKey(key: KeyObject): VerificationKey {
  const algorithm = key.asymmetricKeyType === 'rsa' ? 'RS256' : 'ES256';
  if (key.asymmetricKeyType !== 'rsa' && key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw new Error('service account keys must be RSA or EC P-256');
  }
  // As upstream: the ID is derived from the public key, so that it is the same on every server that has the key.
  const id = createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('base64url');
  return { id, algorithm, key };
}
