import type { HttpResponse } from '@coffer/base/http/handler';
import { jsonWebKeySet, type SigningKeys } from '../authentication/service-account/signing-keys.ts';
import type { NonResourceEndpoint } from './non-resource-endpoints.ts';

export const issuerKeysPath = '/openid/v1/jwks';
const maxAgeSeconds = 3600;

export interface IssuerDiscoveryOptions {
  readonly issuer: string;
  readonly keys: SigningKeys;
  /** `--service-account-jwks-uri`; default this server's own address. */
  readonly jwksUri: string;
}

/**
 * `/.well-known/openid-configuration` and `/openid/v1/jwks`: how others verify ServiceAccount tokens of this cluster. An issuer
 * that is no HTTPS URL has no discovery document, as upstream.
 */
export async function issuerDiscoveryEndpoint(options: IssuerDiscoveryOptions): Promise<NonResourceEndpoint> {
  if (!/^https:\/\/[^?#]+$/.test(options.issuer)) return () => undefined;
  const keys = JSON.stringify(await jsonWebKeySet(options.keys));
  const algorithms = [...new Set(options.keys.verification.map(({ algorithm }) => algorithm))].sort();
  const discovery = JSON.stringify({
    issuer: options.issuer,
    jwks_uri: options.jwksUri,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: algorithms,
  });
  return ({ info, http }) => {
    if (info.path !== issuerKeysPath && info.path !== '/.well-known/openid-configuration') return undefined;
    if (http.method !== 'GET' && http.method !== 'HEAD') return plain(405, 'Method Not Allowed\n');
    return info.path === issuerKeysPath ? document('application/jwk-set+json', keys) : document('application/json', discovery);
  };
}

function document(contentType: string, body: string): HttpResponse {
  const headers = { 'content-type': contentType, 'cache-control': `public, max-age=${maxAgeSeconds}` };
  return { kind: 'full', status: 200, headers, body };
}

function plain(status: number, body: string): HttpResponse {
  return { kind: 'full', status, headers: { 'content-type': 'text/plain; charset=utf-8' }, body };
}
