import 'reflect-metadata';
import { Pkcs10CertificateRequest } from '@peculiar/x509';

/** The organizations (groups) a PKCS #10 request asks for. Throws for what is no request. */
export function certificateRequestOrganizations(pem: string): readonly string[] {
  return new Pkcs10CertificateRequest(pem).subjectName.getField('O');
}
