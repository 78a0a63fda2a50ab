/**
 * Requests for certificates (PKCS#10) and issued certificates, in PEM: whether they can be read, and whether a request is signed
 * with the key it wants certified. Problems are texts for the client.
 */

import { constants, createPublicKey, type KeyObject, verify, X509Certificate } from 'node:crypto';

/** Hash functions and paddings of signatures by object identifier. Ed25519 brings its own hash. */
const algorithms: Readonly<Record<string, { readonly hash: string | null; readonly keyTypes: readonly string[] }>> = {
  '1.2.840.113549.1.1.11': { hash: 'sha256', keyTypes: ['rsa'] },
  '1.2.840.113549.1.1.12': { hash: 'sha384', keyTypes: ['rsa'] },
  '1.2.840.113549.1.1.13': { hash: 'sha512', keyTypes: ['rsa'] },
  '1.2.840.10045.4.3.2': { hash: 'sha256', keyTypes: ['ec'] },
  '1.2.840.10045.4.3.3': { hash: 'sha384', keyTypes: ['ec'] },
  '1.2.840.10045.4.3.4': { hash: 'sha512', keyTypes: ['ec'] },
  '1.3.101.112': { hash: null, keyTypes: ['ed25519'] },
};
const weakAlgorithms: ReadonlySet<string> = new Set(['1.2.840.113549.1.1.4', '1.2.840.113549.1.1.5', '1.2.840.10045.4.1']);

const sequence = 0x30;
const integer = 0x02;
const bitString = 0x03;
const objectIdentifier = 0x06;

/** What is wrong with a request given as the base64 of a PEM block; undefined when it can be signed. */
export function certificateRequestProblem(base64: string): string | undefined {
  const [block] = pemBlocks(Buffer.from(base64, 'base64').toString('latin1'));
  if (block === undefined || block.type !== 'CERTIFICATE REQUEST') return 'PEM block type must be CERTIFICATE REQUEST';
  const request = parseRequest(block.der);
  return request === undefined ? 'x509: malformed certificate request' : signatureProblem(request);
}

/** What is wrong with issued certificates given as the base64 of PEM blocks; undefined when they can be used, or when there are none. */
export function certificateProblem(base64: string): string | undefined {
  if (base64 === '') return undefined;
  const blocks = pemBlocks(Buffer.from(base64, 'base64').toString('latin1'));
  for (const block of blocks) {
    if (block.type !== 'CERTIFICATE') return `only CERTIFICATE PEM blocks are allowed, found ${JSON.stringify(block.type)}`;
    if (block.headers) return 'no PEM block headers are permitted';
    if (block.der.length === 0) return 'found CERTIFICATE PEM block containing 0 certificates';
    if (!isCertificate(block.der)) return 'x509: malformed certificate';
  }
  return blocks.length === 0 ? 'must contain at least one CERTIFICATE PEM block' : undefined;
}

interface PemBlock {
  readonly type: string;
  readonly der: Buffer;
  readonly headers: boolean;
}

/** Text around the blocks and blocks that are not base64 are skipped. */
function pemBlocks(text: string): readonly PemBlock[] {
  const blocks = text.matchAll(/^-----BEGIN ([^\n]*?)-----[ \t]*\r?\n([\s\S]*?)^-----END \1-----[ \t]*\r?$/gm);
  return [...blocks].flatMap(([, type = '', content = '']) => {
    const headers = /^[^\n]*:/.test(content);
    const body = (headers ? content.replace(/^(?:[^\n]*:[^\n]*\n)+/, '') : content).replace(/\s/g, '');
    if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(body)) return [];
    return [{ type, der: Buffer.from(body, 'base64'), headers }];
  });
}

function isCertificate(der: Buffer): boolean {
  try {
    return new X509Certificate(der).raw.length === der.length;
  } catch {
    return false;
  }
}

interface SignedRequest {
  /** The bytes that are signed. */
  readonly signed: Buffer;
  readonly publicKey: Buffer;
  readonly algorithm: string;
  readonly signature: Buffer;
}

/** `SEQUENCE { SEQUENCE { version, subject, public key, attributes }, algorithm, signature }` */
function parseRequest(der: Buffer): SignedRequest | undefined {
  const [outer, ...trailing] = readAll(der) ?? [];
  if (outer?.tag !== sequence || trailing.length > 0) return undefined;
  const [info, algorithm, signature, ...rest] = readAll(outer.content) ?? [];
  if (info?.tag !== sequence || algorithm?.tag !== sequence || signature?.tag !== bitString || rest.length > 0) return undefined;
  const [version, subject, publicKey] = readAll(info.content) ?? [];
  if (version?.tag !== integer || subject?.tag !== sequence || publicKey?.tag !== sequence) return undefined;
  const [identifier] = readAll(algorithm.content) ?? [];
  if (identifier?.tag !== objectIdentifier || signature.content[0] !== 0) return undefined;
  return {
    signed: info.whole,
    publicKey: publicKey.whole,
    algorithm: formatIdentifier(identifier.content),
    signature: signature.content.subarray(1),
  };
}

function signatureProblem(request: SignedRequest): string | undefined {
  if (weakAlgorithms.has(request.algorithm)) return 'x509: cannot verify signature: insecure algorithm';
  const algorithm = algorithms[request.algorithm];
  const key = parseKey(request.publicKey);
  if (key === undefined) return 'x509: malformed certificate request';
  if (algorithm === undefined) return 'x509: cannot verify signature: algorithm unimplemented';
  if (!algorithm.keyTypes.includes(key.asymmetricKeyType ?? '')) {
    return 'x509: signature algorithm and public key do not belong together';
  }
  const padding = key.asymmetricKeyType === 'rsa' ? { padding: constants.RSA_PKCS1_PADDING } : {};
  if (verifies(algorithm.hash, request, { key, ...padding })) return undefined;
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return 'crypto/rsa: verification error';
    case 'ec':
      return 'x509: ECDSA verification failure';
    default:
      return 'x509: Ed25519 verification failure';
  }
}

function verifies(hash: string | null, request: SignedRequest, key: { readonly key: KeyObject; readonly padding?: number }): boolean {
  try {
    return verify(hash, request.signed, key, request.signature);
  } catch {
    return false;
  }
}

function parseKey(spki: Buffer): KeyObject | undefined {
  try {
    return createPublicKey({ key: spki, format: 'der', type: 'spki' });
  } catch {
    return undefined;
  }
}

interface Element {
  readonly tag: number;
  readonly content: Buffer;
  /** With tag and length. */
  readonly whole: Buffer;
}

/** The DER elements that fill `bytes`; undefined when they do not. */
function readAll(bytes: Buffer): readonly Element[] | undefined {
  const elements: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const element = readElement(bytes, at);
    if (element === undefined) return undefined;
    elements.push(element);
    at += element.whole.length;
  }
  return elements;
}

function readElement(bytes: Buffer, start: number): Element | undefined {
  const tag = bytes[start];
  const first = bytes[start + 1];
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) return undefined;
  let header = 2;
  let length = first;
  if (first >= 0x80) {
    const count = first & 0x7f;
    if (count === 0 || count > 4 || start + 2 + count > bytes.length) return undefined;
    length = bytes.readUIntBE(start + 2, count);
    header += count;
  }
  const end = start + header + length;
  if (end > bytes.length) return undefined;
  return { tag, content: bytes.subarray(start + header, end), whole: bytes.subarray(start, end) };
}

/** `1.2.840.…`; of the first byte come two numbers. */
function formatIdentifier(bytes: Buffer): string {
  const [first = 0] = bytes;
  const numbers = [Math.min(2, Math.trunc(first / 40)), first - 40 * Math.min(2, Math.trunc(first / 40))];
  let value = 0;
  for (const byte of bytes.subarray(1)) {
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) {
      numbers.push(value);
      value = 0;
    }
  }
  return numbers.join('.');
}
