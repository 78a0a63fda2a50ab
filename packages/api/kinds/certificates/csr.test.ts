import { describe, expect, it } from 'vitest';
import type { Fields } from '../testing/written-object.ts';
import { cellsOf, createProblems, statusProblems, updateProblems } from '../testing/written-object.ts';
import { certificateSigningRequest as csr } from './csr.ts';

/** Made with OpenSSL for `O=system:nodes, CN=system:node:n1`; the key is gone. */
const ed25519Request =
  'MIGvMGMCAQAwMDEVMBMGA1UECgwMc3lzdGVtOm5vZGVzMRcwFQYDVQQDDA5zeXN0ZW06bm9kZTpuMTAqMAUGAytlcAMhAD801299gEj2FeLpCYx+VUlNbmIQG3w+VJ1scRCKw3oRoAAwBQYDK2VwA0EAsm9ja94Y82MooPaoj4/3H9kvsCj58bvfc61+PRCIUyfbmiU+M+eZS6eoVxbvn9EcIEZxMVcoZWBWom3xYdjHAw==';
const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${ed25519Request}\n-----END CERTIFICATE REQUEST-----\n`;
const spec = {
  request: Buffer.from(pem).toString('base64'),
  signerName: 'kubernetes.io/kube-apiserver-client',
  usages: ['client auth'],
};
const approved = { type: 'Approved', status: 'True', reason: 'Because' };
const denied = { ...approved, type: 'Denied' };

describe('CertificateSigningRequest', () => {
  it.each<[string, Fields, string[]]>([
    ['all it needs', {}, []],
    ['text for a request', { request: 'YQ==' }, ['spec.request: Invalid value: "YQ==": PEM block type must be CERTIFICATE REQUEST']],
    ['no usages', { usages: [] }, ['spec.usages: Required value']],
    ['a usage twice', { usages: ['client auth', 'client auth'] }, ['spec.usages[1]: Duplicate value: "client auth"']],
    [
      'a forgotten signer',
      { signerName: 'kubernetes.io/legacy-unknown' },
      ['spec.signerName: Invalid value: "kubernetes.io/legacy-unknown": the legacy signerName is not allowed via this API version'],
    ],
    [
      'too short a life',
      { expirationSeconds: 599 },
      ['spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds (10 minutes)'],
    ],
  ])('with %s', (_what, fields, want) => {
    expect(createProblems(csr, { spec: { ...spec, ...fields } })).toEqual(want);
  });

  it('knows the usages', () => {
    expect(createProblems(csr, { spec: { ...spec, usages: ['fun'] } })[0]).toMatch(
      /^spec\.usages\[0\]: Unsupported value: "fun": supported values: "any", "cert sign", "client auth", /,
    );
  });

  it('is decided one way, for good', () => {
    const update = (conditions: Fields[], before: Fields[]): string[] =>
      statusProblems(csr, { spec, status: { conditions } }, { spec, status: { conditions: before } });
    expect(update([approved], [])).toEqual([]);
    expect(update([approved, denied], [approved])).toEqual([
      'status.conditions[1].type: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive',
    ]);
    expect(update([], [denied])).toEqual(['status.conditions: Forbidden: updates may not remove a condition of type "Denied"']);
    expect(update([{ ...approved, status: 'False' }], [])).toEqual([
      'status.conditions[0].status: Unsupported value: "False": supported values: "True"',
    ]);
  });

  it('gets one certificate', () => {
    expect(statusProblems(csr, { spec, status: { certificate: 'YQ==' } }, { spec })).toEqual([
      'status.certificate: Invalid value: "<certificate data>": must contain at least one CERTIFICATE PEM block',
    ]);
    expect(updateProblems(csr, { spec }, { spec, status: { certificate: 'YQ==' } })).toEqual([
      'status.certificate: Forbidden: updates may not modify existing certificate content',
    ]);
  });

  it.each<[Fields, string]>([
    [{}, 'Pending'],
    [{ conditions: [approved] }, 'Approved'],
    [{ conditions: [approved], certificate: 'YQ==' }, 'Approved,Issued'],
    [{ conditions: [denied] }, 'Denied'],
    [{ conditions: [approved, { ...approved, type: 'Failed' }] }, 'Approved,Failed'],
  ])('is shown with its condition %j', (status, want) => {
    const fields = { spec: { ...spec, username: 'u', expirationSeconds: 86_400 }, status };
    expect(cellsOf(csr, fields, 0)).toEqual({
      Name: 'x',
      Age: '<unknown>',
      SignerName: 'kubernetes.io/kube-apiserver-client',
      Requestor: 'u',
      RequestedDuration: '24h',
      Condition: want,
    });
  });
});
