import type { V1CertificateSigningRequest } from '@coffer/api/generated/types';
import { equalJson } from '@coffer/api/meta/safe-object';
import type { Authorizer } from '../../authorization/authorizer.ts';
import { admissionForbidden } from '../forbid.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../plugin.ts';
import { mayUseSigner } from './signer-access.ts';

const clientSigner = 'kubernetes.io/kube-apiserver-client';
const mastersGroup = 'system:masters';

/**
 * Who may do what with certificate requests, beyond the verbs of RBAC: approving and signing need the verb on the request's
 * signer, and nobody gets a client certificate of `system:masters`. In upstream's order.
 */
export function certificatePlugins(authorizer: Authorizer): readonly AdmissionPlugin[] {
  return [certificateApproval(authorizer), certificateSigning(authorizer), certificateSubjectRestriction];
}

function certificateApproval(authorizer: Authorizer): AdmissionPlugin {
  return {
    name: 'CertificateApproval',
    async validate(attributes) {
      if (!isAbout(attributes, 'approval') || attributes.operation !== 'UPDATE') return;
      const { signerName } = requestOf(attributes.oldObject).spec;
      if (await mayUseSigner(authorizer, attributes.user, 'approve', signerName)) return;
      throw admissionForbidden(attributes, `user not permitted to approve requests with signerName ${JSON.stringify(signerName)}`);
    },
  };
}

function certificateSigning(authorizer: Authorizer): AdmissionPlugin {
  return {
    name: 'CertificateSigning',
    async validate(attributes) {
      if (!isAbout(attributes, 'status') || attributes.operation !== 'UPDATE') return;
      const old = requestOf(attributes.oldObject);
      const { status } = requestOf(attributes.object);
      const sameCertificate = (old.status?.certificate ?? '') === (status?.certificate ?? '');
      if (sameCertificate && equalJson(old.status?.conditions ?? [], status?.conditions ?? [])) return;
      const { signerName } = old.spec;
      if (await mayUseSigner(authorizer, attributes.user, 'sign', signerName)) return;
      throw admissionForbidden(attributes, `user not permitted to sign requests with signerName ${JSON.stringify(signerName)}`);
    },
  };
}

const certificateSubjectRestriction: AdmissionPlugin = {
  name: 'CertificateSubjectRestriction',
  async validate(attributes) {
    if (!isAbout(attributes, '') || attributes.operation !== 'CREATE') return;
    const { signerName, request } = requestOf(attributes.object).spec;
    if (signerName !== clientSigner) return;
    let organizations: readonly string[];
    try {
      const { certificateRequestOrganizations } = await import('../../pki/certificate-request.ts');
      organizations = certificateRequestOrganizations(Buffer.from(request, 'base64').toString('utf8'));
    } catch (error) {
      throw admissionForbidden(attributes, `failed to parse CSR: ${(error as Error).message}`);
    }
    if (organizations.includes(mastersGroup)) {
      throw admissionForbidden(attributes, `use of ${clientSigner} signer with ${mastersGroup} group is not allowed`);
    }
  },
};

function isAbout({ resource, subresource }: AdmissionAttributes, wanted: string): boolean {
  return resource.group === 'certificates.k8s.io' && resource.resource === 'certificatesigningrequests' && subresource === wanted;
}

function requestOf(object: AdmissionAttributes['object']): V1CertificateSigningRequest {
  return object as unknown as V1CertificateSigningRequest;
}
