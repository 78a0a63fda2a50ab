/** Reads PKCS#10 requests. The library is loaded with the first request, because most clusters never see one. */

export interface ParsedRequest {
  readonly commonName: string;
  readonly organizations: readonly string[];
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly emailAddresses: readonly string[];
  readonly uris: readonly string[];
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array;
}

/** `request` is the base64 of a PEM block, as `spec.request` has it. Throws when it cannot be read or its signature does not fit. */
export async function parseRequest(request: string): Promise<ParsedRequest> {
  await import('reflect-metadata');
  const { webcrypto } = await import('node:crypto');
  const x509 = await import('@peculiar/x509');
  const csr = new x509.Pkcs10CertificateRequest(Buffer.from(request, 'base64').toString());
  if (!(await csr.verify(webcrypto as never))) throw new Error('the signature of the certificate request is not valid');
  const alternative = csr.extensions.find((extension) => extension instanceof x509.SubjectAlternativeNameExtension);
  const names = alternative?.names.items ?? [];
  const ofType = (type: string) => names.filter((name) => name.type === type).map((name) => name.value);
  return {
    commonName: csr.subjectName.getField('CN')[0] ?? '',
    organizations: csr.subjectName.getField('O'),
    dnsNames: ofType('dns'),
    ipAddresses: ofType('ip'),
    emailAddresses: ofType('email'),
    uris: ofType('url'),
    publicKey: new Uint8Array(csr.publicKey.rawData),
  };
}
