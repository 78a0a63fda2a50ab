/** What a certificate signing request may ask for, by signer. Pure; the texts are the ones users see in the request's conditions. */
import type { ParsedRequest } from './parse-csr.ts';

export const KUBELET_CLIENT_SIGNER = 'kubernetes.io/kube-apiserver-client-kubelet';
export const KUBELET_SERVING_SIGNER = 'kubernetes.io/kubelet-serving';
export const CLIENT_SIGNER = 'kubernetes.io/kube-apiserver-client';

const CLIENT_USAGES = [
  ['key encipherment', 'digital signature', 'client auth'],
  ['digital signature', 'client auth'],
];
const SERVING_USAGES = [
  ['key encipherment', 'digital signature', 'server auth'],
  ['digital signature', 'server auth'],
];

/** Why the signer must not sign this, or undefined when it may. */
export function signingObjection(signer: string, request: ParsedRequest, usages: readonly string[]): string | undefined {
  switch (signer) {
    case KUBELET_CLIENT_SIGNER:
      return kubeletClientObjection(request, usages);
    case KUBELET_SERVING_SIGNER:
      return kubeletServingObjection(request, usages);
    case CLIENT_SIGNER:
      return clientUsageObjection(usages);
    default:
      return `no signer is named ${signer}`;
  }
}

export function kubeletClientObjection(request: ParsedRequest, usages: readonly string[]): string | undefined {
  if (!isNodesGroup(request)) return 'subject organization is not system:nodes';
  if (request.dnsNames.length > 0) return 'DNS subjectAltNames are not allowed';
  if (request.emailAddresses.length > 0) return 'Email subjectAltNames are not allowed';
  if (request.ipAddresses.length > 0) return 'IP subjectAltNames are not allowed';
  if (request.uris.length > 0) return 'URI subjectAltNames are not allowed';
  if (!isNodeName(request)) return 'subject common name does not begin with system:node: ';
  return usageObjection(usages, CLIENT_USAGES);
}

export function kubeletServingObjection(request: ParsedRequest, usages: readonly string[]): string | undefined {
  if (!isNodesGroup(request)) return 'subject organization is not system:nodes';
  if (request.dnsNames.length === 0 && request.ipAddresses.length === 0) return 'DNS or IP subjectAltName is required';
  if (request.emailAddresses.length > 0) return 'Email subjectAltNames are not allowed';
  if (request.uris.length > 0) return 'URI subjectAltNames are not allowed';
  const usage = usageObjection(usages, SERVING_USAGES);
  if (usage !== undefined) return usage;
  return isNodeName(request) ? undefined : 'subject common name does not begin with system:node: ';
}

function clientUsageObjection(usages: readonly string[]): string | undefined {
  for (const usage of usages) {
    if (usage !== 'digital signature' && usage !== 'key encipherment' && usage !== 'client auth')
      return `invalid usage for client certificate: ${usage}`;
  }
  return usages.includes('client auth') ? undefined : 'missing required usage for client certificate: client auth';
}

function usageObjection(usages: readonly string[], allowed: readonly (readonly string[])[]): string | undefined {
  const asked = new Set(usages);
  const matches = allowed.some((set) => set.length === asked.size && set.every((usage) => asked.has(usage)));
  return matches ? undefined : `usages did not match ${JSON.stringify(allowed[1])} or ${JSON.stringify(allowed[0])}`;
}

function isNodesGroup(request: ParsedRequest): boolean {
  return request.organizations.length === 1 && request.organizations[0] === 'system:nodes';
}

function isNodeName(request: ParsedRequest): boolean {
  return request.commonName.startsWith('system:node:');
}
