import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CofferProcess, eventually, helmPath, type Output, runCommand } from '../support/coffer-process.ts';
import { Session } from '../support/session.ts';

/** The life of a Helm release: install, upgrade, roll back, uninstall; with hooks, and values kept in Secrets by Helm itself. */
let coffer: CofferProcess;
let session: Session;
let chart: string;

const files: Readonly<Record<string, string>> = {
  'Chart.yaml': 'apiVersion: v2\nname: shop\nversion: 0.1.0\nappVersion: "1.0"\n',
  'values.yaml': 'color: blue\npassword: opensesame\nreplicas: 1\n',
  'templates/configmap.yaml':
    'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-config\ndata:\n  color: {{ .Values.color | quote }}\n',
  'templates/secret.yaml':
    'apiVersion: v1\nkind: Secret\nmetadata:\n  name: {{ .Release.Name }}-secret\nstringData:\n  password: {{ .Values.password | quote }}\n',
  'templates/hook.yaml': `apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-hook
  annotations:
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/hook-delete-policy: before-hook-creation
data:
  revision: {{ .Release.Revision | quote }}
`,
  'templates/deployment.yaml': `apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata:
      labels: {app: {{ .Release.Name }}}
      annotations: {checksum/config: {{ include (print $.Template.BasePath "/configmap.yaml") . | sha256sum }}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: busybox
        command: [sh, -c, 'while :; do sleep 1; done']
        envFrom: [{configMapRef: {name: {{ .Release.Name }}-config}}, {secretRef: {name: {{ .Release.Name }}-secret}}]
`,
};

beforeAll(async () => {
  coffer = await CofferProcess.start();
  session = await Session.open(coffer, 'helm');
  chart = await mkdtemp(path.join(tmpdir(), 'coffer-chart-'));
  await mkdir(path.join(chart, 'templates'));
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(chart, name), text);
});
afterAll(async () => {
  await session?.close();
  await coffer?.dispose();
  await rm(chart, { recursive: true, force: true });
});

function helm(...args: string[]): Promise<Output> {
  const env = { KUBECONFIG: coffer.kubeconfig, HOME: session.folder };
  return runCommand(helmPath, ['-n', session.namespace, ...args], { env });
}

async function succeed(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await helm(...args);
  if (code !== 0) throw new Error(`helm ${args.join(' ')} ended with ${code}: ${stderr}${stdout}`);
  return stdout;
}

/** What the only running pod sees. */
async function environment(): Promise<string> {
  const [pod = ''] = await session.readyPods('app=shop', 1);
  return session.exec(pod, 'sh', '-c', 'echo $color $password');
}

describe('helm', () => {
  it('installs a release whose pods see its values', async () => {
    expect(await succeed('install', 'shop', chart, '--wait', '--timeout', '90s')).toContain('STATUS: deployed');
    expect(await environment()).toBe('blue opensesame');
    expect(JSON.parse(await succeed('list', '-o', 'json'))).toMatchObject([
      { name: 'shop', revision: '1', status: 'deployed', chart: 'shop-0.1.0' },
    ]);
    expect(await session.succeed(['get', 'secrets', '-l', 'owner=helm', '-o', 'name'])).toBe('secret/sh.helm.release.v1.shop.v1');
    expect(await session.succeed(['get', 'configmap', 'shop-hook', '-o', 'jsonpath={.data.revision}'])).toBe('1');
    const again = await helm('install', 'shop', chart);
    expect(again.code).toBe(1);
    expect(again.stderr).toContain('name that is still in use');
  });

  it('upgrades it', async () => {
    await succeed('upgrade', 'shop', chart, '--set', 'color=red', '--wait', '--timeout', '90s');
    expect(await environment()).toBe('red opensesame');
    expect(await succeed('get', 'values', 'shop')).toContain('color: red');
    expect(await succeed('status', 'shop')).toContain('REVISION: 2');
    expect(await session.succeed(['get', 'configmap', 'shop-hook', '-o', 'jsonpath={.data.revision}'])).toBe('2');
    expect(await succeed('upgrade', 'shop', chart, '--set', 'color=green', '--dry-run=server')).toContain('green');
    expect(await session.succeed(['get', 'configmap', 'shop-config', '-o', 'jsonpath={.data.color}'])).toBe('red');
  });

  it('rolls it back', async () => {
    expect(await succeed('rollback', 'shop', '1', '--wait', '--timeout', '90s')).toContain('Rollback was a success');
    expect(await environment()).toBe('blue opensesame');
    const history = JSON.parse(await succeed('history', 'shop', '-o', 'json')) as {
      revision: number;
      status: string;
      description: string;
    }[];
    expect(history.map(({ revision, status }) => [revision, status])).toEqual([
      [1, 'superseded'],
      [2, 'superseded'],
      [3, 'deployed'],
    ]);
    expect(history.at(-1)?.description).toBe('Rollback to 1');
  });

  it('uninstalls it', async () => {
    expect(await succeed('uninstall', 'shop', '--wait')).toContain('release "shop" uninstalled');
    await eventually('an empty namespace', async () => (await session.succeed(['get', 'deployments,pods,secrets', '-o', 'name'])) === '');
    expect(JSON.parse(await succeed('list', '-o', 'json'))).toEqual([]);
  });
});
