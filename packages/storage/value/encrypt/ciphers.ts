import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { xsalsa20poly1305 } from '@noble/ciphers/salsa.js';

/**
 * The ciphers of the local providers in kube-apiserver's stored formats, with one key each:
 *
 *   aescbc     IV (16) ‖ AES-CBC with PKCS#7 padding; nothing protects it from being changed
 *   aesgcm     nonce (12) ‖ ciphertext ‖ tag (16); authenticates the object's key as well
 *   secretbox  nonce (24) ‖ tag (16) ‖ ciphertext (XSalsa20-Poly1305)
 */
export interface Cipher {
  /** `authenticated` is bound to the result by ciphers that can. */
  encrypt(plain: Uint8Array, authenticated: string): Buffer;
  /** Throws when the data is damaged or was written with another key; the message never quotes data. */
  decrypt(stored: Uint8Array, authenticated: string): Buffer;
}

const blockBytes = 16;
const gcmNonceBytes = 12;
const gcmTagBytes = 16;
const secretboxNonceBytes = 24;

/** Random bytes that are stored in the open (nonces): taken from larger pieces, because asking for few at a time costs more. */
export class NonceSource {
  #piece = Buffer.alloc(0);
  #used = 0;

  take(bytes: number): Buffer {
    if (this.#used + bytes > this.#piece.length) {
      this.#piece = randomBytes(4096);
      this.#used = 0;
    }
    this.#used += bytes;
    return this.#piece.subarray(this.#used - bytes, this.#used);
  }
}

/** `key` of 16, 24 or 32 bytes. */
export function aesCbc(key: Buffer, nonces = new NonceSource()): Cipher {
  const algorithm = `aes-${key.length * 8}-cbc`;
  return {
    encrypt(plain) {
      const iv = nonces.take(blockBytes);
      const cipher = createCipheriv(algorithm, key, iv);
      return Buffer.concat([iv, cipher.update(plain), cipher.final()]);
    },
    decrypt(stored) {
      if (stored.length < 2 * blockBytes) throw new Error('the stored data is too short');
      if (stored.length % blockBytes !== 0) throw new Error('the stored data is not a multiple of the block size');
      const decipher = createDecipheriv(algorithm, key, stored.subarray(0, blockBytes));
      try {
        return Buffer.concat([decipher.update(stored.subarray(blockBytes)), decipher.final()]);
      } catch {
        throw new Error('the padding of the stored data is wrong: it is damaged or was written with another key');
      }
    },
  };
}

/** `key` of 16, 24 or 32 bytes. */
export function aesGcm(key: Buffer, nonces = new NonceSource()): Cipher {
  const algorithm = `aes-${key.length * 8}-gcm` as 'aes-256-gcm';
  return {
    encrypt(plain, authenticated) {
      const nonce = nonces.take(gcmNonceBytes);
      const cipher = createCipheriv(algorithm, key, nonce);
      cipher.setAAD(Buffer.from(authenticated));
      return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    },
    decrypt(stored, authenticated) {
      if (stored.length < gcmNonceBytes + gcmTagBytes) throw new Error('the stored data is too short');
      const tagStart = stored.length - gcmTagBytes;
      const decipher = createDecipheriv(algorithm, key, stored.subarray(0, gcmNonceBytes), { authTagLength: gcmTagBytes });
      decipher.setAAD(Buffer.from(authenticated));
      decipher.setAuthTag(stored.subarray(tagStart));
      try {
        return Buffer.concat([decipher.update(stored.subarray(gcmNonceBytes, tagStart)), decipher.final()]);
      } catch {
        throw new Error('authentication of the stored data failed: it is damaged, was moved, or was written with another key');
      }
    },
  };
}

/** `key` of 32 bytes. */
export function secretbox(key: Buffer, nonces = new NonceSource()): Cipher {
  return {
    encrypt(plain) {
      const nonce = nonces.take(secretboxNonceBytes);
      return Buffer.concat([nonce, xsalsa20poly1305(key, nonce).encrypt(plain)]);
    },
    decrypt(stored) {
      if (stored.length < secretboxNonceBytes + gcmTagBytes) throw new Error('the stored data is too short');
      try {
        return Buffer.from(xsalsa20poly1305(key, stored.subarray(0, secretboxNonceBytes)).decrypt(stored.subarray(secretboxNonceBytes)));
      } catch {
        throw new Error('authentication of the stored data failed: it is damaged or was written with another key');
      }
    },
  };
}
