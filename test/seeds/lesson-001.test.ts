import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CofferProcess, eventually } from '../support/coffer-process.ts';
import { Session } from '../support/session.ts';
import { LessonServer } from './lesson-server.ts';

// The second lesson: a Flask-like application that gets its configuration from ConfigMaps, Secrets, TLS files and a registry
// credential; what its mistakes answer. Images are recorded, the command is one the sandbox can run.

let server: LessonServer;
let coffer: CofferProcess;

beforeAll(async () => {
  server = await LessonServer.start();
  coffer = server.coffer;
});
afterAll(async () => {
  await server?.stop();
});

const withSession = (name: string, use: (session: Session) => Promise<void>) => Session.use(coffer, name, use);

const configMap = `apiVersion: v1
kind: ConfigMap
metadata:
  name: python-app-config
data:
  DATABASE_URL: "postgresql://user:pass@db-svc:5432/appdb"
  LOG_LEVEL: "INFO"
  DEBUG: "false"
  API_TIMEOUT: "30"
`;

const deployment = (
  container: string,
  options: { readonly apiVersion?: string; readonly replicas?: number; readonly volumes?: string } = {},
) => `apiVersion: ${options.apiVersion ?? 'apps/v1'}
kind: Deployment
metadata:
  name: python-app-deployment
spec:
  replicas: ${options.replicas ?? 3}
  selector:
    matchLabels:
      app: python-app
  template:
    metadata:
      labels:
        app: python-app
    spec:
      containers:
        - name: app
          image: my-registry/python-app:1.0.0
          command: ["sleep", "3600"]
${container}${options.volumes ?? ''}`;

describe('ConfigMaps', () => {
  it('are created from YAML, from literals or from a file', async () => {
    await withSession('yaml', async (session) => {
      expect(await session.apply(configMap)).toBe('configmap/python-app-config created');
    });
    await withSession('literals', async (session) => {
      const { stdout } = await session.bash(
        'kubectl create configmap python-app-config --from-literal=DATABASE_URL="postgresql://user:pass@db-svc:5432/appdb" --from-literal=LOG_LEVEL=INFO --from-literal=DEBUG=false',
      );
      expect(stdout).toBe('configmap/python-app-config created\n');
    });
    await withSession('file', async (session) => {
      await session.bash('cat > app.conf << EOF\n[database]\nhost=db-svc\nport=5432\nname=appdb\nEOF');
      expect((await session.bash('kubectl create configmap python-app-config --from-file=app.conf')).stdout).toBe(
        'configmap/python-app-config created\n',
      );
      const stored = JSON.parse(await session.succeed(['get', 'configmap', 'python-app-config', '-o', 'json']));
      expect(stored.data).toEqual({ 'app.conf': '[database]\nhost=db-svc\nport=5432\nname=appdb\n' });
    });
  });

  it('reach three replicas as environment', () =>
    withSession('env', async (session) => {
      await session.apply(configMap);
      const manifest = deployment(`          envFrom:
            - configMapRef:
                name: python-app-config
          ports:
            - containerPort: 8000
`);
      expect(await session.apply(manifest)).toBe('deployment.apps/python-app-deployment created');
      for (const pod of await session.readyPods('app=python-app', 3)) {
        const environment = (await session.exec(pod, 'env')).split('\n');
        expect(environment).toContain('DATABASE_URL=postgresql://user:pass@db-svc:5432/appdb');
        expect(environment).toContain('LOG_LEVEL=INFO');
        expect(environment).toContain('API_TIMEOUT=30');
      }
    }));

  it('are mounted item by item', () =>
    withSession('items', async (session) => {
      await session.file('app.conf', '[database]\nhost=db-svc\nport=5432\n');
      await session.bash('kubectl create configmap python-app-config --from-file=app.conf --from-literal=other=x');
      const volumes = `      volumes:
        - name: config-volume
          configMap:
            name: python-app-config
            items:
              - key: app.conf
                path: app.conf
`;
      await session.apply(
        deployment('          volumeMounts:\n            - name: config-volume\n              mountPath: /etc/config\n', {
          replicas: 1,
          volumes,
        }),
      );
      const [pod = ''] = await session.readyPods('app=python-app', 1);
      expect(await session.exec(pod, 'ls', '/etc/config')).toBe('app.conf');
      expect(await session.exec(pod, 'cat', '/etc/config/app.conf')).toBe('[database]\nhost=db-svc\nport=5432');
    }));

  it('refuses a Deployment of apiVersion v1, which does not exist', () =>
    withSession('kind', async (session) => {
      const error = await session.fail(['apply', '-f', '-'], deployment('', { apiVersion: 'v1' }));
      expect(error).toContain('no matches for kind "Deployment" in version "v1"');
      expect(error).toContain('ensure CRDs are installed first');
    }));
});

describe('Secrets', () => {
  const encoded = {
    'database-user': 'YXBwdXNlcg==',
    'database-password': 'U2VjdXJlUEBzc3cwcmQ=',
    'api-key': 'c2stMTIzNDU2Nzg5MGFiY2RlZg==',
  };

  it('hold the same from literals and from YAML', async () => {
    await withSession('literals', async (session) => {
      await session.bash(
        'kubectl create secret generic python-db-secret --from-literal=database-user=appuser --from-literal=database-password=SecureP@ssw0rd --from-literal=api-key=sk-1234567890abcdef',
      );
      expect(JSON.parse(await session.succeed(['get', 'secret', 'python-db-secret', '-o', 'jsonpath={.data}']))).toEqual(encoded);
    });
    await withSession('yaml', async (session) => {
      const data = Object.entries(encoded).map(([key, value]) => `  ${key}: ${value} # a comment`);
      await session.apply(`apiVersion: v1\nkind: Secret\nmetadata:\n  name: python-db-secret\ntype: Opaque\ndata:\n${data.join('\n')}\n`);
      expect(JSON.parse(await session.succeed(['get', 'secret', 'python-db-secret', '-o', 'jsonpath={.data}']))).toEqual(encoded);
    });
  });

  it('reach the process as three variables', () =>
    withSession('env', async (session) => {
      await session.bash(
        'kubectl create secret generic python-db-secret --from-literal=database-user=appuser --from-literal=database-password=SecureP@ssw0rd --from-literal=api-key=sk-1234567890abcdef',
      );
      const variable = (name: string, key: string) => `            - name: ${name}
              valueFrom:
                secretKeyRef:
                  name: python-db-secret
                  key: ${key}
`;
      const env = `          env:\n${variable('DATABASE_USER', 'database-user')}${variable('DATABASE_PASSWORD', 'database-password')}${variable('API_KEY', 'api-key')}`;
      await session.apply(deployment(env, { replicas: 1 }));
      const [pod = ''] = await session.readyPods('app=python-app', 1);
      const environment = (await session.exec(pod, 'env')).split('\n');
      expect(environment).toContain('DATABASE_USER=appuser');
      expect(environment).toContain('DATABASE_PASSWORD=SecureP@ssw0rd');
      expect(environment).toContain('API_KEY=sk-1234567890abcdef');
    }));

  it('takes any string as type, so that `tls` is a type of its own', () =>
    withSession('type', async (session) => {
      await session.apply(
        'apiVersion: v1\nkind: Secret\nmetadata:\n  name: python-app-tls\ntype: tls\ndata:\n  tls.crt: Zm9v\n  tls.key: YmFy\n',
      );
      expect(await session.succeed(['get', 'secret', 'python-app-tls', '-o', 'jsonpath={.type}'])).toBe('tls');
    }));

  it('names the key whose base64 is illegal, and never its value', () =>
    withSession('base64', async (session) => {
      const manifest =
        'apiVersion: v1\nkind: Secret\nmetadata:\n  name: python-app-tls\ntype: tls\ndata:\n  tls.crt: <base64-encoded-certificate>\n';
      const error = await session.fail(['create', '--validate=false', '-f', '-'], manifest);
      expect(error).toContain('illegal base64 data at input byte 0');
      expect(error).not.toContain('base64-encoded-certificate');
    }));

  it('mounts certificate and key under the names the application expects', () =>
    withSession('tls', async (session) => {
      const folder = mkdtempSync(path.join(tmpdir(), 'coffer-tls-'));
      execFileSync(
        'openssl',
        [
          'req',
          '-x509',
          '-newkey',
          'ec',
          '-pkeyopt',
          'ec_paramgen_curve:P-256',
          '-nodes',
          '-subj',
          '/CN=test',
          '-keyout',
          'key.pem',
          '-out',
          'cert.pem',
        ],
        { cwd: folder, stdio: 'ignore' },
      );
      await session.succeed(['create', 'secret', 'tls', 'python-app-tls', `--cert=${folder}/cert.pem`, `--key=${folder}/key.pem`]);
      const volumes = `      volumes:
        - name: tls-certs
          secret:
            secretName: python-app-tls
            items:
              - key: tls.crt
                path: cert.pem
              - key: tls.key
                path: key.pem
`;
      await session.apply(
        deployment(
          '          volumeMounts:\n            - name: tls-certs\n              mountPath: /etc/tls\n              readOnly: true\n',
          { replicas: 1, volumes },
        ),
      );
      const [pod = ''] = await session.readyPods('app=python-app', 1);
      expect(await session.exec(pod, 'ls', '/etc/tls')).toBe('cert.pem\nkey.pem');
      expect(`${await session.exec(pod, 'cat', '/etc/tls/key.pem')}\n`).toBe(readFileSync(path.join(folder, 'key.pem'), 'utf8'));
      rmSync(folder, { recursive: true });
    }));

  it('makes a registry credential in the form of a docker configuration', () =>
    withSession('registry', async (session) => {
      const { stdout } = await session.bash(
        'kubectl create secret docker-registry registry-secret --docker-server=my-registry.azurecr.io --docker-username=robot --docker-password=pw',
      );
      expect(stdout).toBe('secret/registry-secret created\n');
      const secret = JSON.parse(await session.succeed(['get', 'secret', 'registry-secret', '-o', 'json']));
      expect(secret.type).toBe('kubernetes.io/dockerconfigjson');
      expect(JSON.parse(Buffer.from(secret.data['.dockerconfigjson'], 'base64').toString()).auths['my-registry.azurecr.io'].username).toBe(
        'robot',
      );
    }));

  it('stays readable in running pods after its deletion, while new pods wait with a precise reason', () =>
    withSession('deleted', async (session) => {
      await session.bash('kubectl create secret generic python-db-secret --from-literal=password=SecureP@ssw0rd');
      const volumes = '      volumes:\n        - name: s\n          secret:\n            secretName: python-db-secret\n';
      await session.apply(
        deployment('          volumeMounts:\n            - name: s\n              mountPath: /etc/s\n', { replicas: 1, volumes }),
      );
      const [pod = ''] = await session.readyPods('app=python-app', 1);
      await session.succeed(['delete', 'secret', 'python-db-secret']);
      expect(await session.exec(pod, 'cat', '/etc/s/password')).toBe('SecureP@ssw0rd');
      await session.succeed(['scale', 'deployment', 'python-app-deployment', '--replicas=2']);
      await eventually('the event of the waiting pod', async () => {
        const events = await session.succeed(['get', 'events', '-o', 'jsonpath={range .items[*]}{.reason}: {.message}{"\\n"}{end}']);
        return /FailedMount: MountVolume\.SetUp failed for volume "s" : secret "python-db-secret" not found/.test(events);
      });
      expect(await session.exec(pod, 'cat', '/etc/s/password')).toBe('SecureP@ssw0rd');
      await session.bash('kubectl create secret generic python-db-secret --from-literal=password=second');
      await session.readyPods('app=python-app', 2);
    }));
});
