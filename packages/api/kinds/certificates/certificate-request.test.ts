import { describe, expect, it } from 'vitest';
import { certificateProblem, certificateRequestProblem } from './certificate-request.ts';

/** Made with OpenSSL for `O=system:nodes, CN=system:node:n1`; the keys are gone. */
const ecRequest =
  'MIHrMIGSAgEAMDAxFTATBgNVBAoMDHN5c3RlbTpub2RlczEXMBUGA1UEAwwOc3lzdGVtOm5vZGU6bjEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATbmJawFt98FD5cU3Etx4RF6vwGpc4nTD6BLZC0dk4TDEgIiQL9MogTMwi875UUMwj0oza8UZwyuhOdJb8Q27/eoAAwCgYIKoZIzj0EAwIDSAAwRQIgLcyFE9z6KeWZFqOzSiYEe8ecqsDzfAK++GbySs447YQCIQDkK+8ANQmPVgysPGGhK42yAZPHkxkT3ieOxDVIljfUpQ==';
const ed25519Request =
  'MIGvMGMCAQAwMDEVMBMGA1UECgwMc3lzdGVtOm5vZGVzMRcwFQYDVQQDDA5zeXN0ZW06bm9kZTpuMTAqMAUGAytlcAMhAD801299gEj2FeLpCYx+VUlNbmIQG3w+VJ1scRCKw3oRoAAwBQYDK2VwA0EAsm9ja94Y82MooPaoj4/3H9kvsCj58bvfc61+PRCIUyfbmiU+M+eZS6eoVxbvn9EcIEZxMVcoZWBWom3xYdjHAw==';
const certificate =
  'MIIBLDCB36ADAgECAhRny51FeNIEBd3i3YVv0Iq7FfKzVDAFBgMrZXAwDDEKMAgGA1UEAwwBeDAeFw0yNjExMjEyMzQwNDdaFw0zNjExMTgyMzQwNDdaMAwxCjAIBgNVBAMMAXgwKjAFBgMrZXADIQA/NNdvfYBI9hXi6QmMflVJTW5iEBt8PlSdbHEQisN6EaNTMFEwHQYDVR0OBBYEFCO/1bH1vxvkJ+411BmRb8p8T9PnMB8GA1UdIwQYMBaAFCO/1bH1vxvkJ+411BmRb8p8T9PnMA8GA1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EA7CqF3K05Bi5UfrmEJo7pb6w/rVB0BCEXgiVZbIP+9OJN6uIJcQSeUrdz0zBgDw9R8rFU/7Podsm0b8LtQO3hCQ==';

function pem(type: string, der: Buffer | string, headers = ''): string {
  const text = typeof der === 'string' ? der : der.toString('base64');
  return `-----BEGIN ${type}-----\n${headers}${text.replace(/.{64}/g, '$&\n')}\n-----END ${type}-----\n`;
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** The request with one byte changed, counted from the end when negative. */
function withFlippedByte(request: string, position: number): string {
  const der = Buffer.from(request, 'base64');
  const at = position < 0 ? der.length + position : position;
  der[at] = (der[at] ?? 0) ^ 1;
  return base64(pem('CERTIFICATE REQUEST', der));
}

describe('certificateRequestProblem', () => {
  it.each([
    ['ECDSA', ecRequest],
    ['Ed25519', ed25519Request],
  ])('accepts a request signed with %s', (_name, request) => {
    expect(certificateRequestProblem(base64(pem('CERTIFICATE REQUEST', request)))).toBeUndefined();
    expect(certificateRequestProblem(base64(`before\n${pem('CERTIFICATE REQUEST', request)}after`))).toBeUndefined();
  });

  it('wants a PEM block of that type', () => {
    const problem = 'PEM block type must be CERTIFICATE REQUEST';
    expect(certificateRequestProblem('')).toBe(problem);
    expect(certificateRequestProblem(base64('no PEM'))).toBe(problem);
    expect(certificateRequestProblem(base64(pem('NEW CERTIFICATE REQUEST', ecRequest)))).toBe(problem);
    expect(certificateRequestProblem(base64(pem('CERTIFICATE', certificate)))).toBe(problem);
  });

  it('wants the DER of a request', () => {
    const problem = 'x509: malformed certificate request';
    expect(certificateRequestProblem(base64(pem('CERTIFICATE REQUEST', Buffer.from('junk'))))).toBe(problem);
    expect(certificateRequestProblem(base64(pem('CERTIFICATE REQUEST', Buffer.from(ecRequest, 'base64').subarray(0, -1))))).toBe(problem);
    const longer = Buffer.concat([Buffer.from(ecRequest, 'base64'), Buffer.of(0x05, 0x00)]);
    expect(certificateRequestProblem(base64(pem('CERTIFICATE REQUEST', longer)))).toBe(problem);
  });

  it('wants the signature of the key in the request', () => {
    expect(certificateRequestProblem(withFlippedByte(ecRequest, -1))).toBe('x509: ECDSA verification failure');
    expect(certificateRequestProblem(withFlippedByte(ed25519Request, -1))).toBe('x509: Ed25519 verification failure');
    // A letter of the subject.
    expect(certificateRequestProblem(withFlippedByte(ed25519Request, 24))).toBe('x509: Ed25519 verification failure');
  });
});

describe('certificateProblem', () => {
  it('accepts certificates, and none', () => {
    expect(certificateProblem('')).toBeUndefined();
    expect(certificateProblem(base64(pem('CERTIFICATE', certificate).repeat(2)))).toBeUndefined();
  });

  it('refuses anything else', () => {
    expect(certificateProblem(base64('text'))).toBe('must contain at least one CERTIFICATE PEM block');
    expect(certificateProblem(base64(pem('CERTIFICATE REQUEST', ecRequest)))).toBe(
      'only CERTIFICATE PEM blocks are allowed, found "CERTIFICATE REQUEST"',
    );
    expect(certificateProblem(base64(pem('CERTIFICATE', certificate, 'Proc-Type: 4\n\n')))).toBe('no PEM block headers are permitted');
    expect(certificateProblem(base64(pem('CERTIFICATE', '')))).toBe('found CERTIFICATE PEM block containing 0 certificates');
    expect(certificateProblem(base64(pem('CERTIFICATE', Buffer.from('junk'))))).toBe('x509: malformed certificate');
  });
});
