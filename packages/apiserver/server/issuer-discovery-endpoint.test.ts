import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { loadSigningKeys } from '../authentication/service-account/signing-keys.ts';
import type { RequestContext } from '../request/context.ts';
import { issuerDiscoveryEndpoint } from './issuer-discovery-endpoint.ts';

const pem = (type: 'ec' | 'rsa') =>
  (type === 'ec' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('rsa', { modulusLength: 2048 })).privateKey
    .export({ type: 'pkcs8', format: 'pem' })
    .toString();

async function get(path: string, issuer = 'https://issuer.example.com') {
  const endpoint = await issuerDiscoveryEndpoint({
    issuer,
    keys: loadSigningKeys(pem('ec'), [pem('rsa')]),
    jwksUri: 'https://127.0.0.1:6443/openid/v1/jwks',
  });
  const answer = await endpoint({ info: { path }, http: { method: 'GET' } } as unknown as RequestContext);
  return answer?.kind === 'full' ? { ...answer, json: JSON.parse(String(answer.body)) } : undefined;
}

describe('issuerDiscoveryEndpoint', () => {
  it('publishes issuer, key address and algorithms', async () => {
    const answer = await get('/.well-known/openid-configuration');
    expect(answer?.headers).toEqual({ 'content-type': 'application/json', 'cache-control': 'public, max-age=3600' });
    expect(answer?.json).toEqual({
      issuer: 'https://issuer.example.com',
      jwks_uri: 'https://127.0.0.1:6443/openid/v1/jwks',
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['ES256', 'RS256'],
    });
  });

  it('publishes every accepted key, public parts only', async () => {
    const answer = await get('/openid/v1/jwks');
    expect(answer?.headers['content-type']).toBe('application/jwk-set+json');
    expect(answer?.json.keys.map((key: { kty: string; use: string }) => [key.kty, key.use])).toEqual([
      ['EC', 'sig'],
      ['RSA', 'sig'],
    ]);
    for (const key of answer?.json.keys ?? []) expect(Object.keys(key)).not.toContain('d');
  });

  it('serves nothing for an issuer nobody could look up', async () => {
    expect(await get('/.well-known/openid-configuration', 'kubernetes/serviceaccount')).toBeUndefined();
  });
});
