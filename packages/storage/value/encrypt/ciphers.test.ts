import { describe, expect, it } from 'vitest';
import { aesCbc, aesGcm, type Cipher, secretbox } from './ciphers.ts';
import { seedCipher } from './kms/seed-cipher.ts';

/** Vectors made with other implementations: Python's `cryptography` for AES and HKDF, the one published with NaCl for secretbox. */
const key = Buffer.from(Array.from({ length: 32 }, (_, i) => i));
const authenticated = '/registry/secrets/ns1/db';
const plain = Buffer.from(
  '{"kind":"Secret","apiVersion":"v1","metadata":{"name":"db","namespace":"ns1"},"data":{"password":"aHVudGVyMg=="}}',
);

const golden: readonly { readonly name: string; readonly cipher: Cipher; readonly stored: string }[] = [
  {
    name: 'aesgcm',
    cipher: aesGcm(key),
    stored:
      '6465666768696a6b6c6d6e6f3339b50f178d74a41c313a8ba8001edf6ee0677ae23a9600d4b8c326d999873ea5cb6ce22177ef6599920c5edf78b1ed753af5820270634c98d380f481e0c8ef7bfcba6db3690127e51cdc616ca61382050c7e169dbeafb6be8245b314612a73b453f3363d38dc39e58393a29f309a955fd5ba64556b4136b5b7aff3a991c26aaf',
  },
  {
    name: 'aescbc',
    cipher: aesCbc(key),
    stored:
      'c8c9cacbcccdcecfd0d1d2d3d4d5d6d707d16fe6735d98b78b6abb88e36de898560ffaa52519d3084a81e5b254ab9935d31d034a8533c7b661b6842fafc882dc3f695527d276c747ca71639212edbb2ecf8b3f75af862aad40e8ea16ce61c969947a8ca23194cc163c7fbde46afab9dc146cefe09fcf92e46a4faf507af0d91e41e7ac262cd92483931c7dfecb858c4a',
  },
  {
    name: 'seed with a derived key',
    cipher: seedCipher(key),
    stored:
      '32333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f50516465666768696a6b6c6d6e6f02ef6680898348546f96d10e6c58ad51ae8b64177bcf0b4aba5dfb5629b9d06bd5687cd098c1f8c067fa50c028ca797b5c2c09d9fe86c34e4a841125adc1b26661a97d63f311b60df13ca6ac0f75cdad58f01ce6e0dcec3546531026c33d8adea325e3eb191e5829d96bb3e53680782a7f198d85548cdc95f0f7a8432e4143c832',
  },
];

describe('ciphers', () => {
  for (const { name, cipher, stored } of golden) {
    it(`read the stored format of ${name}`, () => {
      expect(cipher.decrypt(Buffer.from(stored, 'hex'), authenticated).toString()).toBe(plain.toString());
    });
  }

  it('read the stored format of secretbox', () => {
    const naclKey = Buffer.from('1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389', 'hex');
    const nonce = '69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37';
    const box =
      'f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5';
    const message =
      'be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f937763848645e0705';
    expect(
      secretbox(naclKey)
        .decrypt(Buffer.from(nonce + box, 'hex'), '')
        .toString('hex'),
    ).toBe(message);
  });

  const all = [...golden, { name: 'secretbox', cipher: secretbox(key), stored: '' }];
  for (const { name, cipher } of all) {
    it(`${name} reads what it wrote, of any length, and never writes the same twice`, () => {
      for (const length of [0, 1, 15, 16, 17, 1000]) {
        const data = Buffer.alloc(length, 'x');
        const first = cipher.encrypt(data, authenticated);
        expect(cipher.decrypt(first, authenticated).equals(data)).toBe(true);
        expect(cipher.encrypt(data, authenticated).equals(first)).toBe(false);
        if (length > 15) expect(first.includes('xxxxxxxx')).toBe(false);
      }
    });

    it(`${name} refuses what is too short`, () => {
      for (const length of [0, 1, 12, 27])
        expect(() => cipher.decrypt(Buffer.alloc(length), authenticated)).toThrow(/too short|block size/);
    });
  }

  for (const { name, cipher } of all.filter((one) => one.name !== 'aescbc')) {
    it(`${name} notices every flipped bit`, () => {
      const stored = cipher.encrypt(Buffer.from('some value'), authenticated);
      for (let bit = 0; bit < stored.length * 8; bit++) {
        const damaged = Buffer.from(stored);
        damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(() => cipher.decrypt(damaged, authenticated)).toThrow('authentication');
      }
    });
  }

  for (const { name, cipher } of [golden[0], golden[2]].filter((one) => one !== undefined)) {
    it(`${name} refuses a value that was moved to another key`, () => {
      const stored = cipher.encrypt(plain, '/registry/secrets/ns1/db');
      expect(() => cipher.decrypt(stored, '/registry/secrets/ns1/other')).toThrow('was moved');
    });
  }

  it('work with AES keys of every length', () => {
    for (const length of [16, 24, 32]) {
      for (const cipher of [aesCbc(key.subarray(0, length)), aesGcm(key.subarray(0, length))]) {
        expect(cipher.decrypt(cipher.encrypt(plain, authenticated), authenticated).equals(plain)).toBe(true);
      }
    }
  });
});
