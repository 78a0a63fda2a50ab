import { createHmac } from 'node:crypto';
import { aesGcm, type Cipher, NonceSource } from '../ciphers.ts';

/**
 * AES-256-GCM with a key of its own for every value: 32 random bytes of info are stored in front, and HKDF-Expand (SHA-256) of
 * the seed with that info is the key. So a seed may be used for any number of values.
 */
const infoBytes = 32;

export function seedCipher(seed: Buffer): Cipher {
  if (seed.length < 32) throw new Error(`invalid seed length ${seed.length} used for key generation`);
  const nonces = new NonceSource();
  return {
    encrypt(plain, authenticated) {
      const info = nonces.take(infoBytes);
      return Buffer.concat([info, withDerivedKey(seed, info, nonces, (cipher) => cipher.encrypt(plain, authenticated))]);
    },
    decrypt(stored, authenticated) {
      if (stored.length < infoBytes) throw new Error('the stored data is too short');
      return withDerivedKey(seed, stored.subarray(0, infoBytes), nonces, (cipher) =>
        cipher.decrypt(stored.subarray(infoBytes), authenticated),
      );
    },
  };
}

/** The derived key is overwritten as soon as it was used. */
function withDerivedKey(seed: Buffer, info: Uint8Array, nonces: NonceSource, use: (cipher: Cipher) => Buffer): Buffer {
  // One block of HKDF-Expand is all that a 32 byte key needs: HMAC(seed, info ‖ 0x01).
  const key = createHmac('sha256', seed)
    .update(info)
    .update(Buffer.from([1]))
    .digest();
  try {
    return use(aesGcm(key, nonces));
  } finally {
    key.fill(0);
  }
}
