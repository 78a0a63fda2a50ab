import { afterEach, beforeEach, expect, it } from 'vitest';
import { CofferProcess, delay, eventually } from '../support/coffer-process.ts';
import { dataFile, encryption, flipBytes, secretsPath } from '../support/encryption-session.ts';
import { Session } from '../support/session.ts';

// What running pods notice of a rotation of the keys, and of a damaged Secret: nothing.

let server: CofferProcess | undefined;
beforeEach(async () => {
  server = await CofferProcess.start();
});
afterEach(() => server?.dispose());

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: busybox
          command: [sleep, '1000000']
          env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: login, key: password}}}]
          volumeMounts: [{name: login, mountPath: /etc/login}]
      volumes: [{name: login, secret: {secretName: login}}]
`;

it('no file is written anew and nothing restarts when keys change, and files stay when a Secret is damaged', async () => {
  if (server === undefined) throw new Error('no server');
  let coffer = server;
  let shell = await Session.open(coffer, 'default', true);
  await shell.succeed(['create', 'secret', 'generic', 'login', '--from-literal=password=correct-horse']);
  await shell.succeed(['apply', '-f', '-'], deployment);
  await shell.succeed(['rollout', 'status', 'deployment/web', '--timeout=60s']);

  const look = async () => ({
    files: await shell.succeed([
      'exec',
      'deploy/web',
      '--',
      'sh',
      '-c',
      'readlink /etc/login/..data; stat -c %Y.%i /etc/login/..data/password',
    ]),
    content: await shell.succeed(['exec', 'deploy/web', '--', 'sh', '-c', 'cat /etc/login/password; echo " $PASSWORD"']),
    pods: await shell.succeed([
      'get',
      'pods',
      '-o',
      'jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[0].restartCount}{end}',
    ]),
    rollout: await shell.succeed(['get', 'deployment', 'web', '-o', 'jsonpath={.metadata.generation} {.metadata.annotations}']),
  });
  const before = await look();
  expect(before.content).toBe('correct-horse correct-horse');
  const version = async () => (await coffer.call('GET', `${secretsPath}/login`)).body.metadata.resourceVersion as string;
  const firstVersion = await version();
  expect((await encryption(coffer, 'rotate')).json).toMatchObject({ step: 'done' });
  expect(await version()).not.toBe(firstVersion);
  // Longer than a change takes to become a file.
  await delay(1500);
  expect(await look()).toEqual(before);

  await coffer.stop();
  await flipBytes(dataFile(coffer), ['login']);
  coffer = await CofferProcess.start({ dataDir: coffer.dataDir });
  server = coffer;
  shell = await Session.open(coffer, 'default', true);
  expect(await shell.fail(['get', 'secret', 'login'])).toContain('cannot be read');
  await eventually('the pod to be adopted', async () => (await shell.kubectl(['exec', 'deploy/web', '--', 'true'])).code === 0);
  await delay(1500);
  expect(await look()).toEqual(before);
});
