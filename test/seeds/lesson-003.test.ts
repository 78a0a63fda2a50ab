import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CofferProcess, eventually } from '../support/coffer-process.ts';
import { paymentsAccount } from '../support/payments-account.ts';
import { Session } from '../support/session.ts';
import { LessonServer } from './lesson-server.ts';

// The fourth document: internals and production patterns. Both ways of consumption side by side, the incident of the rotated
// password, file permissions, least privilege for Secrets, and its triage commands.

let server: LessonServer;
let coffer: CofferProcess;
let production: Session;
let payments: Session;

beforeAll(async () => {
  server = await LessonServer.start();
  coffer = server.coffer;
});
afterAll(async () => {
  await production?.close();
  await payments?.close();
  await server?.stop();
});

const credentials = (password: string) => `apiVersion: v1
kind: Secret
metadata:
  name: db-credentials
  namespace: production
type: Opaque
data:
  username: cG9zdGdyZXM=
  password: ${Buffer.from(password).toString('base64')}
stringData:
  connection-string: "postgresql://postgres:${password}@postgres:5432/appdb"
`;

const appConfig = (logo: string) => `apiVersion: v1
kind: ConfigMap
metadata:
  name: app-config
  namespace: production
data:
  DATABASE_HOST: "postgres.internal.svc.cluster.local"
  LOG_LEVEL: "info"
  FEATURE_FLAG_NEW_UI: "true"
binaryData:
  logo.png: "${logo}"
`;

describe('objects', () => {
  it('finds no namespace that nobody created', async () => {
    const error = await coffer.kubectl(['apply', '-f', '-'], { input: appConfig('iVBORw0KGgoAAAANSUhEUg==') });
    expect(error.code).toBe(1);
    expect(error.stderr).toContain('namespaces "production" not found');
    production = await Session.open(coffer, 'production', true);
    payments = await Session.open(coffer, 'payments', true);
  });

  it('names the key of binary data that is no base64', async () => {
    const error = await production.fail(['create', '--validate=false', '-f', '-'], appConfig('iVBORw0KGgoAAAANSUhEUg...'));
    expect(error).toContain('illegal base64 data at input byte');
    expect(error).not.toContain('iVBORw0KGgo');
  });

  it('stores both objects as the document writes them', async () => {
    expect(await production.apply(appConfig('iVBORw0KGgoAAAANSUhEUg=='))).toBe('configmap/app-config created');
    expect(await production.apply(credentials('supersecret'))).toBe('secret/db-credentials created');
    const secret = JSON.parse(await production.succeed(['get', 'secret', 'db-credentials', '-o', 'json']));
    expect(secret.stringData).toBeUndefined();
    expect(Buffer.from(secret.data['connection-string'], 'base64').toString()).toBe(
      'postgresql://postgres:supersecret@postgres:5432/appdb',
    );
  });

  it('refuses a Secret above 1 MiB', async () => {
    await production.file('big', 'x'.repeat(1024 * 1024 + 1));
    const { code, stderr } = await production.bash('kubectl create secret generic big --from-file=big');
    expect(code).toBe(1);
    expect(stderr).toContain('data: Too long: may not be more than 1048576 bytes');
  });
});

describe('environment and volume side by side', () => {
  it('rotates: files follow, environment and subPath stay', async () => {
    await production.apply(`apiVersion: v1
kind: Pod
metadata:
  name: app-env-injection
spec:
  containers:
    - name: app
      image: io.thecodeforge/app:1.0
      command: ["sleep", "3600"]
      envFrom:
        - configMapRef:
            name: app-config
        - secretRef:
            name: db-credentials
      env:
        - name: SPECIFIC_KEY
          valueFrom:
            secretKeyRef:
              name: db-credentials
              key: password
---
apiVersion: v1
kind: Pod
metadata:
  name: app-volume-mount
spec:
  containers:
    - name: app
      image: io.thecodeforge/app:1.0
      command: ["sleep", "3600"]
      volumeMounts:
        - name: config-volume
          mountPath: /etc/config
          readOnly: true
        - name: secret-volume
          mountPath: /etc/secrets
          readOnly: true
        - name: secret-volume
          mountPath: /etc/frozen/password.txt
          subPath: password
  volumes:
    - name: config-volume
      configMap:
        name: app-config
    - name: secret-volume
      secret:
        secretName: db-credentials
        defaultMode: 0440
`);
    await production.succeed(['wait', '--for=condition=Ready', 'pod/app-env-injection', 'pod/app-volume-mount', '--timeout=60s']);
    const env = () => production.exec('app-env-injection', 'sh', '-c', 'echo $SPECIFIC_KEY $password $LOG_LEVEL');
    const file = () => production.exec('app-volume-mount', 'cat', '/etc/secrets/password');
    const frozen = () => production.exec('app-volume-mount', 'cat', '/etc/frozen/password.txt');
    expect(await env()).toBe('supersecret supersecret info');
    expect(await file()).toBe('supersecret');
    expect(await production.exec('app-volume-mount', 'stat', '-L', '-c', '%a', '/etc/secrets/password')).toBe('440');
    // The PNG signature and the head of its first chunk: 8 + 8 bytes.
    expect(await production.exec('app-volume-mount', 'sh', '-c', 'od -An -tx1 /etc/config/logo.png | tr -d " \n"')).toBe(
      '89504e470d0a1a0a0000000d49484452',
    );

    expect(await production.apply(credentials('rotated-password'))).toBe('secret/db-credentials configured');
    await eventually('the new password in the file', async () => (await file()) === 'rotated-password');
    expect(await env()).toBe('supersecret supersecret info');
    expect(await frozen()).toBe('supersecret');
  });

  it('shows neither value in describe pod', async () => {
    const description = await production.succeed(['describe', 'pod', 'app-env-injection']);
    expect(description).toMatch(/SPECIFIC_KEY: +<set to the key 'password' in secret 'db-credentials'>/);
    expect(description).not.toContain('supersecret');
  });
});

describe('triage commands', () => {
  it('prints one value, its size and what describe shows', async () => {
    const value = await production.bash(`kubectl get secret db-credentials -o jsonpath='{.data.password}' | base64 -d`);
    expect(value.stdout).toBe('rotated-password');
    const size = await production.bash('kubectl get secret db-credentials -o json | wc -c');
    expect(Number(size.stdout)).toBeGreaterThan(100);
    const description = await production.succeed(['describe', 'secret', 'db-credentials']);
    expect(description).toMatch(/password: +16 bytes/);
    const data = await production.bash('kubectl get configmap app-config -o yaml | grep -A 5 data');
    expect(data.stdout).toContain('LOG_LEVEL: info');
    expect((await production.kubectl(['get', 'configmap', 'nope'])).stderr).toBe(
      'Error from server (NotFound): configmaps "nope" not found\n',
    );
  });
});

describe('least privilege', () => {
  it('lets the service account get the two named Secrets, and neither list nor read a third', async () => {
    await payments.apply(paymentsAccount);
    for (const name of ['payment-gateway-key', 'db-credentials', 'third'])
      await payments.succeed(['create', 'secret', 'generic', name, '--from-literal=k=v']);
    const as = '--as=system:serviceaccount:payments:payment-service-account';
    expect(await payments.succeed(['get', 'secret', 'payment-gateway-key', '-o', 'name', as])).toBe('secret/payment-gateway-key');
    expect(await payments.succeed(['get', 'secret', 'db-credentials', '-o', 'name', as])).toBe('secret/db-credentials');
    expect(await payments.fail(['get', 'secret', 'third', as])).toBe(
      'Error from server (Forbidden): secrets "third" is forbidden: User "system:serviceaccount:payments:payment-service-account" cannot get resource "secrets" in API group "" in the namespace "payments"',
    );
    expect(await payments.fail(['get', 'secrets', as])).toContain(
      'cannot list resource "secrets" in API group "" in the namespace "payments"',
    );
    const rules = await payments.succeed(['auth', 'can-i', '--list', as]);
    expect(rules).toMatch(/^secrets +\[\] +\[db-credentials\] +\[get\]$/m);
    expect(rules).toMatch(/^secrets +\[\] +\[payment-gateway-key\] +\[get\]$/m);
    expect(await payments.fail(['get', 'secrets', '--as=system:serviceaccount:payments:default'])).toContain('Forbidden');
  });
});

describe('what later parts of the system add', () => {
  it('refuses objects of the Secrets Store CSI driver, which is not installed', async () => {
    const error = await production.fail(
      ['apply', '-f', '-'],
      'apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata:\n  name: vault-db-creds\nspec:\n  provider: vault\n',
    );
    expect(error).toContain('no matches for kind "SecretProviderClass" in version "secrets-store.csi.x-k8s.io/v1"');
  });
});
