import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createAuthority, issueCertificate } from '@coffer/apiserver/pki/certificates';
import { exportJWK, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CofferProcess, eventually, freePort } from '../support/coffer-process.ts';

// Services an operator configures: an OpenID Connect issuer and webhooks for tokens and for authorization, over TLS.

let outside: Server;
let base: string;
let coffer: CofferProcess;
let accessKubeconfig: string;
let authenticationFile: string;
const issuerKeys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const reviews: { readonly kind: string; readonly spec: Record<string, unknown> }[] = [];

async function respond(url: string, body: string): Promise<unknown> {
  switch (url) {
    case '/issuer/.well-known/openid-configuration':
      return { issuer: `${base}/issuer`, jwks_uri: `${base}/issuer/keys` };
    case '/issuer/keys':
      return { keys: [{ ...(await exportJWK(issuerKeys.publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' }] };
    case '/tokens': {
      const review = JSON.parse(body);
      reviews.push(review);
      const known = review.spec.token === 'wendys-token';
      const user = { username: 'wendy', groups: ['outside'] };
      return { ...review, status: known ? { authenticated: true, user } : { authenticated: false } };
    }
    case '/access': {
      const review = JSON.parse(body);
      reviews.push(review);
      const { user, resourceAttributes } = review.spec;
      const allowed = user === 'wendy' && resourceAttributes?.resource === 'pods';
      const denied = resourceAttributes?.resource === 'secrets';
      return { ...review, status: { allowed, ...(denied ? { denied, reason: 'never' } : {}) } };
    }
    default:
      return undefined;
  }
}

beforeAll(async () => {
  const nowMs = Date.now();
  const authority = await createAuthority('outside authority', nowMs, 86_400_000);
  const serving = await issueCertificate(authority, {
    commonName: 'outside',
    usage: 'server',
    names: ['127.0.0.1'],
    validityMs: 86_400_000,
    nowMs,
  });
  outside = createServer({ key: serving.keyPem, cert: serving.certificatePem }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      void respond(request.url ?? '', Buffer.concat(chunks).toString()).then((answer) => {
        response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' });
        response.end(JSON.stringify(answer ?? {}));
      });
    });
  });
  await new Promise<void>((resolve) => outside.listen(0, '127.0.0.1', resolve));
  base = `https://127.0.0.1:${(outside.address() as AddressInfo).port}`;

  const dataDir = await mkdtemp(path.join(tmpdir(), 'coffer-outside-'));
  const kubeconfig = async (name: string) => {
    const file = path.join(dataDir, `${name}.yaml`);
    const ca = Buffer.from(authority.certificatePem).toString('base64');
    const cluster = `{name: w, cluster: {server: "${base}/${name}", certificate-authority-data: ${ca}}}`;
    const rest = 'users: [{name: w, user: {}}]\ncontexts: [{name: w, context: {cluster: w, user: w}}]\ncurrent-context: w\n';
    await writeFile(file, `apiVersion: v1\nkind: Config\nclusters: [${cluster}]\n${rest}`);
    return file;
  };
  accessKubeconfig = await kubeconfig('access');
  const config = path.join(dataDir, 'authentication.yaml');
  authenticationFile = config;
  const pem = authority.certificatePem
    .trim()
    .split('\n')
    .map((line) => `      ${line}`)
    .join('\n');
  await writeFile(
    config,
    `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: ${base}/issuer
    audiences: [coffer]
    certificateAuthority: |
${pem}
  claimMappings:
    username: {expression: "claims.sub + '@outside'"}
    groups: {claim: roles, prefix: "outside:"}
anonymous:
  enabled: true
  conditions: [{path: /readyz}]
`,
  );
  coffer = await CofferProcess.start({
    dataDir,
    args: [
      ...['--runtime', 'none', '--authentication-config', config],
      ...['--authentication-token-webhook-config-file', await kubeconfig('tokens'), '--authentication-token-webhook-version', 'v1'],
      ...['--authorization-mode', 'Node,RBAC,Webhook', '--authorization-webhook-config-file', accessKubeconfig],
      ...['--authorization-webhook-version', 'v1'],
    ],
  });
});
afterAll(async () => {
  await coffer?.dispose();
  outside?.closeAllConnections();
  await new Promise((resolve) => outside?.close(resolve));
});

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

async function whoIs(token: string) {
  const { status, body } = await coffer.call('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {}, bearer(token));
  return status === 201 ? body.status.userInfo : status;
}

function idToken(claims: Record<string, unknown>): Promise<string> {
  return new SignJWT({ sub: 'olga', roles: ['devs'], ...claims })
    .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
    .setIssuer(`${base}/issuer`)
    .setAudience('coffer')
    .setExpirationTime('5m')
    .sign(issuerKeys.privateKey);
}

describe('an OpenID Connect issuer', () => {
  it('vouches for users by the configured mappings', async () => {
    expect(await whoIs(await idToken({}))).toEqual({ username: 'olga@outside', groups: ['outside:devs', 'system:authenticated'] });
    expect(await whoIs(`${(await idToken({})).slice(0, -4)}AAAA`)).toBe(401);
  });

  it('vouches by other mappings when the file has changed, unless that is not valid', async () => {
    const text = await readFile(authenticationFile, 'utf8');
    await writeFile(authenticationFile, text.replace('outside:', 'abroad:'));
    const groups = async () => (await whoIs(await idToken({}))).groups;
    await eventually('the changed mapping', async () => (await groups()).includes('abroad:devs'));
    await writeFile(authenticationFile, text.replace('claims.sub', 'claims.('));
    await eventually('the refusal', async () => coffer.output.includes('a changed configuration file is not used'));
    expect(await groups()).toContain('abroad:devs');
  });
});

describe('a token webhook', () => {
  it('vouches for tokens nobody else knows, and is asked once', async () => {
    expect(await whoIs('wendys-token')).toEqual({ username: 'wendy', groups: ['outside', 'system:authenticated'] });
    expect(await whoIs('wendys-token')).toMatchObject({ username: 'wendy' });
    const asked = reviews.filter(({ kind, spec }) => kind === 'TokenReview' && spec.token === 'wendys-token');
    expect(asked).toHaveLength(1);
    expect(await whoIs('another-token')).toBe(401);
  });
});

describe('an authorization webhook', () => {
  it('decides what RBAC did not allow', async () => {
    expect((await coffer.call('GET', '/api/v1/pods', undefined, bearer('wendys-token'))).status).toBe(200);
    expect((await coffer.call('GET', '/api/v1/configmaps', undefined, bearer('wendys-token'))).status).toBe(403);
    const denied = await coffer.call('GET', '/api/v1/secrets', undefined, bearer('wendys-token'));
    expect([denied.status, denied.body.message]).toEqual([
      403,
      'secrets is forbidden: User "wendy" cannot list resource "secrets" in API group "" at the cluster scope: never',
    ]);
    // What RBAC allows is not asked for.
    expect(reviews.some(({ kind, spec }) => kind === 'SubjectAccessReview' && spec.user === 'admin')).toBe(false);
    const rules = await coffer.call(
      'POST',
      '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews',
      { spec: { namespace: 'default' } },
      bearer('wendys-token'),
    );
    expect(rules.body.status).toMatchObject({
      incomplete: true,
      evaluationError: 'webhook authorizer does not support user rule resolution',
    });
  });
});

describe('an authorization configuration', () => {
  const configuration = (namespace: string) => `apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- {type: Node, name: node}
- type: Webhook
  name: outside
  webhook:
    timeout: 3s
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    failurePolicy: Deny
    connectionInfo: {type: KubeConfigFile, kubeConfigFile: ${accessKubeconfig}}
    matchConditions:
    - expression: has(request.resourceAttributes)
    - expression: request.resourceAttributes.namespace == '${namespace}'
- {type: RBAC, name: rbac}
`;

  it('asks webhooks where their conditions hold, before RBAC when it says so, and is followed', async () => {
    const dataDir = await mkdtemp(path.join(tmpdir(), 'coffer-authorization-'));
    const file = path.join(dataDir, 'authorization.yaml');
    const tokens = path.join(dataDir, 'users.csv');
    const users = 'test-admin-token,operator,,"system:masters"\nwendys-token,wendy,,\n';
    await Promise.all([writeFile(file, configuration('default')), writeFile(tokens, users, { mode: 0o600 })]);
    const server = await CofferProcess.start({
      dataDir,
      args: ['--runtime', 'none', '--authorization-config', file, '--token-auth-file', tokens],
    });
    try {
      const list = async (namespace: string, resource: string) =>
        (await server.call('GET', `/api/v1/namespaces/${namespace}/${resource}`, undefined, bearer('wendys-token'))).status;
      expect([await list('default', 'pods'), await list('default', 'configmaps'), await list('kube-system', 'pods')]).toEqual([
        200, 403, 403,
      ]);
      await writeFile(file, 'not: valid');
      await writeFile(file, configuration('kube-system'));
      await eventually('the changed configuration', async () => (await list('kube-system', 'pods')) === 200);
      expect(await list('default', 'pods')).toBe(403);
    } finally {
      await server.dispose();
    }
  });
});

describe('an authorization webhook that does not answer', () => {
  const configuration = (kubeconfig: string, failurePolicy: string) => `apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- type: Webhook
  name: outside
  webhook:
    timeout: 3s
    subjectAccessReviewVersion: v1
    failurePolicy: ${failurePolicy}
    connectionInfo: {type: KubeConfigFile, kubeConfigFile: ${kubeconfig}}
- {type: RBAC, name: rbac}
`;

  it('fails what nobody else allows, or everything when it is to deny', async () => {
    const dataDir = await mkdtemp(path.join(tmpdir(), 'coffer-authorization-'));
    const file = (name: string) => path.join(dataDir, name);
    const port = await freePort();
    const nowhere = {
      clusters: [{ name: 'c', cluster: { server: `https://127.0.0.1:${port}/review` } }],
      users: [{ name: 'u', user: {} }],
    };
    const context = { contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }], 'current-context': 'c' };
    await writeFile(file('nowhere'), JSON.stringify({ ...nowhere, ...context }));
    await writeFile(file('config'), configuration(file('nowhere'), 'NoOpinion'));
    await writeFile(file('users'), 'test-admin-token,operator,,"system:masters"\nwendys-token,wendy,,\n', { mode: 0o600 });
    const flags = ['--authorization-config', file('config'), '--token-auth-file', file('users'), '--audit-log-path', file('audit.log')];
    const server = await CofferProcess.start({ dataDir, args: ['--runtime', 'none', ...flags] });
    try {
      const get = (url: string) => server.call('GET', url, undefined, bearer('wendys-token'));
      const refused = await get('/api/v1/pods?limit=5');
      const why = `Post "https://127.0.0.1:${port}/review": dial tcp 127.0.0.1:${port}: connect: connection refused`;
      expect([refused.status, refused.headers['content-type'], refused.text]).toEqual([
        500,
        'text/plain; charset=utf-8',
        `Internal Server Error: "/api/v1/pods?limit=5": ${why}\n`,
      ]);
      expect((await get('/version')).status).toBe(200);
      const review = { spec: { user: 'wendy', resourceAttributes: { verb: 'list', resource: 'pods' } } };
      const asked = await server.call('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', review);
      expect(asked.body.status).toEqual({ allowed: false, evaluationError: why });
      const events = (await readFile(file('audit.log'), 'utf8')).trim().split('\n');
      const event = events.map((line) => JSON.parse(line)).find(({ user }) => user.username === 'wendy');
      expect(event.annotations).toEqual({ 'authorization.k8s.io/reason': 'internal error' });
      expect(event.responseStatus.code).toBe(500);

      await writeFile(file('config'), configuration(file('nowhere'), 'Deny'));
      await eventually('the changed configuration', async () => (await get('/version')).status === 500);
    } finally {
      await server.dispose();
    }
  });
});

describe('anonymous requests', () => {
  it('count only for the configured paths', async () => {
    const nobody = { authorization: '' };
    expect((await coffer.call('GET', '/readyz', undefined, nobody)).status).toBe(200);
    expect((await coffer.call('GET', '/version', undefined, nobody)).status).toBe(401);
  });
});

describe('flags that contradict each other', () => {
  it.each([
    [['--authorization-mode', 'AlwaysAllow'], 'AlwaysAllow is not supported'],
    [['--authorization-mode', 'RBAC,Webhook'], 'needs --authorization-webhook-config-file'],
    [['--authorization-mode', 'RBAC,RBAC'], 'RBAC stands twice'],
    [
      ['--authorization-mode', 'RBAC', '--authorization-config', '/x'],
      '--authorization-config can not be specified with --authorization-mode',
    ],
    [['--oidc-issuer-url', 'http://x', '--oidc-client-id', 'c'], 'URL scheme must be https'],
    [['--oidc-issuer-url', 'https://x'], '--oidc-client-id must be set'],
  ])('%j end the start with a clear message', async (args, message) => {
    await expect(CofferProcess.start({ args: ['--runtime', 'none', ...args] })).rejects.toThrow(message);
  });
});
