import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CofferProcess, eventually } from '../support/coffer-process.ts';
import { Session } from '../support/session.ts';
import { LessonServer } from './lesson-server.ts';

// The first lesson: ConfigMaps and Secrets created in three ways, read back, injected as environment and as files, and the
// three exercises. Commands are the lesson's own, run by bash with real kubectl; alternatives run in namespaces of their own.

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

const appConfig = `apiVersion: v1
kind: ConfigMap
metadata:
  name: app-config
data:
  LOG_LEVEL: "DEBUG"
  DATABASE_URL: "postgresql://localhost:5432/mydb"
  FEATURE_FLAGS: '{"analytics":true,"beta":false}'
`;

const createAppConfig = (flags: string) => `kubectl create configmap app-config \\
  --from-literal=LOG_LEVEL=DEBUG \\
  --from-literal=DATABASE_URL=postgresql://localhost:5432/mydb \\
  --from-literal=FEATURE_FLAGS=${flags}`;

const apiServer = (podSpec: string, replicas: number) => `apiVersion: apps/v1
kind: Deployment
metadata:
  name: api-server
spec:
  replicas: ${replicas}
  selector:
    matchLabels:
      app: api-server
  template:
    metadata:
      labels:
        app: api-server
    spec:
${podSpec}`;

describe('ConfigMaps', () => {
  it('refuses the unquoted JSON literal, which bash expands to the same key twice', () =>
    withSession('literal', async (session) => {
      const { code, stderr } = await session.bash(createAppConfig('{"analytics":true,"beta":false}'));
      expect(code).toBe(1);
      expect(stderr).toContain(
        'cannot add key "FEATURE_FLAGS", another key by that name already exists in Data for ConfigMap "app-config"',
      );
    }));

  it('stores the quoted JSON literal unchanged', () =>
    withSession('literal', async (session) => {
      const { stdout } = await session.bash(createAppConfig(`'{"analytics":true,"beta":false}'`));
      expect(stdout).toBe('configmap/app-config created\n');
      expect(await session.succeed(['get', 'configmap', 'app-config', '-o', 'jsonpath={.data.FEATURE_FLAGS}'])).toBe(
        '{"analytics":true,"beta":false}',
      );
    }));

  it('is shown as YAML with its data and without a spec', () =>
    withSession('yaml', async (session) => {
      await session.bash(createAppConfig(`'{"analytics":true,"beta":false}'`));
      const yaml = await session.succeed(['get', 'configmap', 'app-config', '-o', 'yaml']);
      const lines = yaml.split('\n');
      expect(lines.slice(0, 5)).toEqual([
        'apiVersion: v1',
        'data:',
        '  DATABASE_URL: postgresql://localhost:5432/mydb',
        `  FEATURE_FLAGS: '{"analytics":true,"beta":false}'`,
        '  LOG_LEVEL: DEBUG',
      ]);
      expect(lines).toContain('kind: ConfigMap');
      expect(yaml).not.toContain('spec');
    }));

  it('warns of or refuses the spec field that the lesson prints', () =>
    withSession('spec', async (session) => {
      const error = await session.fail(['apply', '-f', '-'], appConfig.replace('\ndata:', '\nspec: {}\ndata:'));
      expect(error).toContain('unknown field "spec"');
    }));

  it('is created by apply, and left alone by the same apply again', () =>
    withSession('apply', async (session) => {
      await session.file('configmap.yaml', appConfig);
      expect((await session.bash('kubectl apply -f configmap.yaml')).stdout).toBe('configmap/app-config created\n');
      expect((await session.bash('kubectl apply -f configmap.yaml')).stdout).toBe('configmap/app-config unchanged\n');
    }));

  it('says configured when apply follows create in one namespace', () =>
    withSession('both', async (session) => {
      await session.bash(createAppConfig(`x`));
      await session.file('configmap.yaml', appConfig);
      expect((await session.bash('kubectl apply -f configmap.yaml')).stdout).toBe('configmap/app-config configured\n');
      const again = await session.bash(createAppConfig(`x`));
      expect(again.stderr).toBe('error: failed to create configmap: configmaps "app-config" already exists\n');
    }));
});

describe('Secrets', () => {
  const create = `kubectl create secret generic db-credentials --from-literal=username=admin --from-literal=password=super-secret-password`;

  it('shows base64 that decodes to the value', () =>
    withSession('secret', async (session) => {
      expect((await session.bash(create)).stdout).toBe('secret/db-credentials created\n');
      const yaml = await session.succeed(['get', 'secret', 'db-credentials', '-o', 'yaml']);
      expect(yaml).toContain('data:\n  password: c3VwZXItc2VjcmV0LXBhc3N3b3Jk\n  username: YWRtaW4=\n');
      expect(yaml).toContain('\ntype: Opaque');
      const decoded = await session.bash('echo "c3VwZXItc2VjcmV0LXBhc3N3b3Jk" | base64 --decode');
      expect(decoded.stdout).toBe('super-secret-password');
    }));

  it('takes base64 data and plain stringData alike', () =>
    withSession('secret', async (session) => {
      const head = 'apiVersion: v1\nkind: Secret\nmetadata:\n  name: NAME\ntype: Opaque\n';
      const encoded = `${head.replace('NAME', 'encoded')}data:\n  username: YWRtaW4= # base64 of "admin"\n  password: c3VwZXItc2VjcmV0LXBhc3N3b3Jk\n`;
      const plain = `${head.replace('NAME', 'plain')}stringData:\n  username: admin\n  password: super-secret-password\n`;
      expect(await session.apply(encoded)).toBe('secret/encoded created');
      expect(await session.apply(plain)).toBe('secret/plain created');
      const data = (name: string) => session.succeed(['get', 'secret', name, '-o', 'jsonpath={.data}']);
      expect(JSON.parse(await data('encoded'))).toEqual({ username: 'YWRtaW4=', password: 'c3VwZXItc2VjcmV0LXBhc3N3b3Jk' });
      expect(JSON.parse(await data('plain'))).toEqual({ username: 'YWRtaW4=', password: 'c3VwZXItc2VjcmV0LXBhc3N3b3Jk' });
    }));
});

describe('injection', () => {
  it('puts every key and the single Secret key into the environment of each replica', () =>
    withSession('env', async (session) => {
      await session.apply(appConfig);
      await session.succeed(['create', 'secret', 'generic', 'db-credentials', '--from-literal=password=super-secret-password']);
      const spec = `      containers:
        - name: api
          image: myregistry/agent:v1.0
          command: ["sleep", "3600"]
          envFrom:
            - configMapRef:
                name: app-config
          env:
            - name: DB_PASSWORD
              valueFrom:
                secretKeyRef:
                  name: db-credentials
                  key: password
`;
      expect(await session.apply(apiServer(spec, 2))).toBe('deployment.apps/api-server created');
      const pods = await session.readyPods('app=api-server', 2);
      const table = (await session.succeed(['get', 'pods', '-l', 'app=api-server'])).split('\n');
      expect(table[0]).toMatch(/^NAME +READY +STATUS +RESTARTS +AGE$/);
      for (const row of table.slice(1)) expect(row).toMatch(/^api-server-[a-z0-9]+-[a-z0-9]{5} +1\/1 +Running +0 +\d+s$/);
      for (const pod of pods) {
        const environment = (await session.exec(pod, 'env')).split('\n');
        expect(environment).toContain('LOG_LEVEL=DEBUG');
        expect(environment).toContain('DATABASE_URL=postgresql://localhost:5432/mydb');
        expect(environment).toContain('FEATURE_FLAGS={"analytics":true,"beta":false}');
        expect(environment).toContain('DB_PASSWORD=super-secret-password');
      }
    }));

  const fileConfig = `apiVersion: v1
kind: ConfigMap
metadata:
  name: app-config-files
data:
  config.json: |
    {
      "database": "postgresql://localhost:5432/mydb",
      "log_level": "DEBUG",
      "features": {
        "analytics": true,
        "beta": false
      }
    }
  settings.env: |
    TIMEOUT=30
    RETRIES=3
`;

  it('mounts a ConfigMap as files, laid out as links into the current version', () =>
    withSession('files', async (session) => {
      await session.apply(fileConfig);
      const spec = `      containers:
        - name: api
          image: myregistry/agent:v1.0
          command: ["sleep", "3600"]
          volumeMounts:
            - name: config-volume
              mountPath: /etc/config
      volumes:
        - name: config-volume
          configMap:
            name: app-config-files
`;
      await session.apply(apiServer(spec, 1));
      const [pod = ''] = await session.readyPods('app=api-server', 1);
      const listing = await session.exec(pod, 'ls', '-la', '/etc/config/');
      expect(listing).toMatch(/ config\.json -> \.\.data\/config\.json$/m);
      expect(listing).toMatch(/ settings\.env -> \.\.data\/settings\.env$/m);
      expect(listing).toMatch(/ \.\.data -> \.\.\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d\.\d+$/m);
      expect(await session.exec(pod, 'cat', '/etc/config/settings.env')).toBe('TIMEOUT=30\nRETRIES=3');
      expect(JSON.parse(await session.exec(pod, 'cat', '/etc/config/config.json'))).toEqual({
        database: 'postgresql://localhost:5432/mydb',
        log_level: 'DEBUG',
        features: { analytics: true, beta: false },
      });
      expect(await session.exec(pod, 'stat', '-L', '-c', '%a %U:%G', '/etc/config/config.json')).toBe('644 root:root');
    }));

  it('mounts a Secret as read-only files', () =>
    withSession('secretfiles', async (session) => {
      await session.succeed([
        'create',
        'secret',
        'generic',
        'db-credentials',
        '--from-literal=username=admin',
        '--from-literal=password=super-secret-password',
      ]);
      const spec = `      containers:
        - name: api
          image: myregistry/agent:v1.0
          command: ["sleep", "3600"]
          volumeMounts:
            - name: secrets-volume
              mountPath: /etc/secrets
              readOnly: true
      volumes:
        - name: secrets-volume
          secret:
            secretName: db-credentials
`;
      await session.apply(apiServer(spec, 1));
      const [pod = ''] = await session.readyPods('app=api-server', 1);
      expect(await session.exec(pod, 'cat', '/etc/secrets/password')).toBe('super-secret-password');
      const write = await session.kubectl(['exec', pod, '--', 'sh', '-c', 'echo x > /etc/secrets/new']);
      expect(write.code).not.toBe(0);
      expect(write.stderr).toContain('Read-only file system');
    }));
});

describe('exercises', () => {
  it('1: a Pod sees the ConfigMap as environment', () =>
    withSession('exercise', async (session) => {
      const created = await session.bash(
        'kubectl create configmap agent-config --from-literal=API_ENDPOINT=https://api.example.com --from-literal=TIMEOUT_SECONDS=30 --from-literal=DEBUG_MODE=false',
      );
      expect(created.stdout).toBe('configmap/agent-config created\n');
      await session.file(
        'agent-pod.yaml',
        `apiVersion: v1
kind: Pod
metadata:
  name: agent-pod
spec:
  containers:
    - name: agent
      image: alpine
      command: ["sh", "-c", "env | grep API_ENDPOINT && sleep 3600"]
      envFrom:
        - configMapRef:
            name: agent-config
  restartPolicy: Never
`,
      );
      expect((await session.bash('kubectl apply -f agent-pod.yaml')).stdout).toBe('pod/agent-pod created\n');
      await session.succeed(['wait', '--for=condition=Ready', 'pod/agent-pod', '--timeout=30s']);
      expect((await session.bash('kubectl exec -i agent-pod -- env | grep API_ENDPOINT')).stdout).toBe(
        'API_ENDPOINT=https://api.example.com\n',
      );
    }));

  it('2: a Pod reads the Secret as files', () =>
    withSession('exercise', async (session) => {
      await session.bash(
        'kubectl create secret generic db-secrets --from-literal=username=postgres --from-literal=password=prod-db-password --from-literal=host=db.example.com',
      );
      await session.file(
        'db-client.yaml',
        `apiVersion: v1
kind: Pod
metadata:
  name: db-client
spec:
  containers:
    - name: client
      image: alpine
      command: ["sh", "-c", "cat /etc/db-secrets/password && sleep 3600"]
      volumeMounts:
        - name: db-secrets
          mountPath: /etc/db-secrets
          readOnly: true
  volumes:
    - name: db-secrets
      secret:
        secretName: db-secrets
  restartPolicy: Never
`,
      );
      expect((await session.bash('kubectl apply -f db-client.yaml')).stdout).toBe('pod/db-client created\n');
      await eventually('the log', async () => {
        const shown = server.holdsUnfinishedLines ? 'kubectl exec db-client -- cat /etc/db-secrets/password' : 'kubectl logs db-client';
        return (await session.bash(shown)).stdout === 'prod-db-password';
      });
    }));

  const envPrinter = (extra: string) => `apiVersion: apps/v1
kind: Deployment
metadata:
  name: env-printer
spec:
  replicas: 1
  selector:
    matchLabels:
      app: env-printer
  template:
    metadata:
      labels:
        app: env-printer
    spec:
      containers:
        - name: printer
          image: alpine
          command: ["sh", "-c", "echo $ENVIRONMENT && sleep 3600"]
          env:
            - name: ENVIRONMENT
              valueFrom:
                configMapKeyRef:
                  name: app-settings
                  key: ENVIRONMENT
${extra}`;

  it('3: refuses restartPolicy Never in a Deployment', () =>
    withSession('exercise', async (session) => {
      const error = await session.fail(['apply', '-f', '-'], envPrinter('      restartPolicy: Never\n'));
      expect(error).toBe(
        'The Deployment "env-printer" is invalid: spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
      );
    }));

  it('3: environment stays as it was until the rollout is restarted', () =>
    withSession('exercise', async (session) => {
      await session.bash('kubectl create configmap app-settings --from-literal=ENVIRONMENT=development');
      await session.apply(envPrinter(''));
      const [before = ''] = await session.readyPods('app=env-printer', 1);
      await eventually('the first log', async () => (await session.bash('kubectl logs -l app=env-printer')).stdout === 'development\n');
      const patched = await session.bash(`kubectl patch configmap app-settings -p '{"data":{"ENVIRONMENT":"production"}}'`);
      expect(patched.stdout).toBe('configmap/app-settings patched\n');
      expect(await session.exec(before, 'sh', '-c', 'echo $ENVIRONMENT')).toBe('development');
      expect((await session.bash('kubectl rollout restart deployment/env-printer')).stdout).toBe('deployment.apps/env-printer restarted\n');
      await session.succeed(['rollout', 'status', 'deployment/env-printer', '--timeout=90s']);
      const [after = ''] = await session.readyPods('app=env-printer', 1);
      expect(after).not.toBe(before);
      await eventually('the new log', async () => (await session.bash('kubectl logs -l app=env-printer')).stdout === 'production\n');
    }));
});
