import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CofferProcess, eventually } from '../support/coffer-process.ts';
import { Session } from '../support/session.ts';
import { LessonServer } from './lesson-server.ts';

// The third lesson: a postgres-style container whose variables come from a ConfigMap and a Secret, what happens while these do
// not exist, and what `describe pod` shows of a Secret.

let server: LessonServer;
let coffer: CofferProcess;

beforeAll(async () => {
  server = await LessonServer.start();
  coffer = server.coffer;
});
afterAll(async () => {
  await server?.stop();
});

const pod = `apiVersion: v1
kind: Pod
metadata:
  name: postgres
spec:
  containers:
    - env:
        - name: POSTGRES_DB
          valueFrom:
            configMapKeyRef:
              key: POSTGRES_DB
              name: postgres-db-config
        - name: POSTGRES_USER
          valueFrom:
            configMapKeyRef:
              key: POSTGRES_USER
              name: postgres-db-config
        - name: POSTGRES_PASSWORD
          valueFrom:
            secretKeyRef:
              key: POSTGRES_PASSWORD
              name: postgres-db-secret
      image: postgres:latest
      command: ["sleep", "3600"]
      name: postgres-container
      ports:
        - containerPort: 5432
`;

describe('a container that takes its variables from objects', () => {
  it('waits with CreateContainerConfigError and starts as soon as both exist', async () => {
    const session = await Session.open(coffer, 'postgres');
    const waiting = async () =>
      JSON.parse(await session.succeed(['get', 'pod', 'postgres', '-o', 'json'])).status.containerStatuses?.[0]?.state?.waiting;
    await session.apply(pod);
    await eventually('the first reason', async () => (await waiting())?.message === 'configmap "postgres-db-config" not found');
    expect((await waiting()).reason).toBe('CreateContainerConfigError');
    expect(await session.succeed(['get', 'pods'])).toMatch(/^postgres +0\/1 +CreateContainerConfigError +0 +\S+$/m);

    await session.succeed([
      'create',
      'configmap',
      'postgres-db-config',
      '--from-literal=POSTGRES_DB=mydb',
      '--from-literal=POSTGRES_USER=myuser',
    ]);
    await eventually('the second reason', async () => (await waiting())?.message === 'secret "postgres-db-secret" not found');

    await session.succeed(['create', 'secret', 'generic', 'postgres-db-secret', '--from-literal=POSTGRES_PASSWORD=hunter2hunter2']);
    await session.succeed(['wait', '--for=condition=Ready', 'pod/postgres', '--timeout=30s']);
    expect(await session.exec('postgres', 'sh', '-c', 'echo $POSTGRES_DB $POSTGRES_USER $POSTGRES_PASSWORD')).toBe(
      'mydb myuser hunter2hunter2',
    );

    const description = await session.succeed(['describe', 'pod', 'postgres']);
    expect(description).toMatch(/POSTGRES_DB: +<set to the key 'POSTGRES_DB' of config map 'postgres-db-config'> +Optional: false/);
    expect(description).toMatch(/POSTGRES_PASSWORD: +<set to the key 'POSTGRES_PASSWORD' in secret 'postgres-db-secret'> +Optional: false/);
    expect(description).not.toContain('hunter2hunter2');
    await session.close();
  });

  it('can be decoded by whoever may read the Secret', async () => {
    const session = await Session.open(coffer, 'decode');
    await session.succeed(['create', 'secret', 'generic', 'postgres-db-secret', '--from-literal=POSTGRES_PASSWORD=hunter2hunter2']);
    const decoded = await session.bash(`kubectl get secret postgres-db-secret -o jsonpath='{.data.POSTGRES_PASSWORD}' | base64 -d`);
    expect(decoded.stdout).toBe('hunter2hunter2');
    await session.close();
  });
});
