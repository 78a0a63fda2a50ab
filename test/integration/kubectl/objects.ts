import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CofferProcess, eventually, freePort, kubectlPath, type Output, runCommand } from '../support/coffer-process.ts';
import { Session } from '../support/session.ts';

/** Every verb of the real kubectl, one after the other, against the real program with its sandbox node. */
let coffer: CofferProcess;
let session: Session;
const isRoot = process.getuid?.() === 0;

beforeAll(async () => {
  coffer = await CofferProcess.start();
  session = await Session.open(coffer, 'verbs');
});
afterAll(async () => {
  await session?.close();
  await coffer?.dispose();
});

const run = (line: string, input?: string): Promise<string> => session.succeed(words(line), input);
const refused = (line: string, input?: string): Promise<string> => session.fail(words(line), input);

/** Splits at spaces, but not within single quotes. */
function words(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? '');
}

/** kubectl with variables of its own, e.g. EDITOR. */
function withEnv(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Output> {
  const variables = { KUBECONFIG: coffer.kubeconfig, HOME: session.folder, ...env };
  return runCommand(kubectlPath, ['-n', session.namespace, ...args], { env: variables });
}

const workload = (name: string, script: string, replicas = 1) => `apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, labels: {app: ${name}}}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: busybox
        command: [sh, -c, '${script}']
`;
const loop = 'echo started; while :; do sleep 1; done';

describe('kubectl create and get', () => {
  it('creates objects of every kind it has a generator for', async () => {
    expect(await run('create configmap app --from-literal=a=1 --from-literal=b=two')).toBe('configmap/app created');
    expect(await run('create secret generic app --from-literal=p=q')).toBe('secret/app created');
    expect(await run('create secret docker-registry pull --docker-username=u --docker-password=p --docker-server=r.example')).toBe(
      'secret/pull created',
    );
    expect(await run('create serviceaccount robot')).toBe('serviceaccount/robot created');
    expect(await run('create role reader --verb=get,list --resource=configmaps')).toBe('role.rbac.authorization.k8s.io/reader created');
    expect(await run(`create rolebinding reader --role=reader --serviceaccount=${session.namespace}:robot`)).toContain('created');
    expect(await run('create service clusterip web --tcp=80:8080')).toBe('service/web created');
    expect(await run('create deployment idle --image=busybox --replicas=0')).toBe('deployment.apps/idle created');
    expect(await run('create token robot --duration=10m')).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
    expect(await refused('create configmap app')).toBe('error: failed to create configmap: configmaps "app" already exists');
  });

  it('prints them in every format', async () => {
    expect(await run('get configmap app')).toMatch(/^NAME +DATA +AGE\napp +2 +\d+s$/);
    expect(await run('get configmap app -o name')).toBe('configmap/app');
    expect(JSON.parse(await run('get configmap app -o json')).data).toEqual({ a: '1', b: 'two' });
    expect(await run('get configmap app -o yaml')).toContain('data:\n  a: "1"\n  b: two\nkind: ConfigMap');
    expect(await run("get configmap app -o jsonpath='{.data.b}'".replaceAll("'", ''))).toBe('two');
    expect(await run("get configmap app -o 'go-template={{range $k, $v := .data}}{{$k}}={{$v}};{{end}}'")).toBe('a=1;b=two;');
    expect(await run('get configmap app -o custom-columns=N:.metadata.name,B:.data.b')).toMatch(/^N +B\napp +two$/);
    expect(await run('get deployment idle -o wide')).toMatch(/CONTAINERS +IMAGES +SELECTOR\nidle +0\/0 .* busybox +busybox +app=idle$/);
    expect(await run('get all')).toContain('deployment.apps/idle');
    expect(await refused('get configmap missing')).toBe('Error from server (NotFound): configmaps "missing" not found');
    expect(await refused('get nonsense')).toContain('the server doesn\'t have a resource type "nonsense"');
  });

  it('selects and pages', async () => {
    for (let i = 0; i < 5; i++) await run(`create configmap page-${i} --from-literal=i=${i}`);
    await run('label configmap page-1 page-2 half=first');
    expect(await run('get configmaps -l half=first -o name')).toBe('configmap/page-1\nconfigmap/page-2');
    expect(await run("get configmaps -l 'half notin (first),!other' -o name")).toContain('page-3');
    expect(await run('get configmaps --field-selector metadata.name=page-3 -o name')).toBe('configmap/page-3');
    expect(await refused('get configmaps --field-selector data.a=1')).toContain('"data.a" is not a known field selector');
    const paged = await run('get configmaps --chunk-size=2 -o name');
    expect(paged.split('\n').filter((name) => name.includes('page-'))).toHaveLength(5);
    expect(await run('get secrets --field-selector type=kubernetes.io/dockerconfigjson -o name')).toBe('secret/pull');
    expect(await run('get configmaps --sort-by=.metadata.name --no-headers')).toMatch(/^app /);
  });

  it('watches', async () => {
    const child = spawn(
      kubectlPath,
      ['--kubeconfig', coffer.kubeconfig, '-n', session.namespace, 'get', 'configmap', 'app', '-w', '-o', 'jsonpath={.data.a} '],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    let seen = '';
    child.stdout.on('data', (chunk: Buffer) => {
      seen += chunk.toString();
    });
    await eventually('the first line', () => seen.includes('1 '));
    await run('patch configmap app -p {"data":{"a":"5"}}');
    await eventually('the change', () => seen.includes('5 '));
    child.kill();
  });

  it('describes', async () => {
    expect(await run('describe configmap app')).toMatch(/Name: +app[\s\S]*Data\n====\na:\n----\n5/);
    expect(await run('describe secret app')).toMatch(/p: +1 bytes/);
    expect(await run('describe deployment idle')).toContain('Replicas:               0 desired');
    expect(await run('describe serviceaccount robot')).toContain('Name:                robot');
    expect(await run('describe service web')).toContain('TargetPort:               8080/TCP');
    expect(await run('describe role reader')).toContain('configmaps');
    expect(await run(`describe namespace ${session.namespace}`)).toContain('Status:       Active');
  });
});

describe('kubectl apply, edit, patch and friends', () => {
  const map = (value: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: applied, labels: {set: x}}\ndata: {a: ${value}}\n`;

  it('applies on the client and on the server, dry and for real', async () => {
    expect(await run('apply -f - --dry-run=server', map('one'))).toBe('configmap/applied created (server dry run)');
    await refused('get configmap applied');
    expect(await run('apply -f -', map('one'))).toBe('configmap/applied created');
    expect(await run('apply -f -', map('one'))).toBe('configmap/applied unchanged');
    const { code, stdout } = await session.kubectl(['diff', '-f', '-'], map('two'));
    expect(code).toBe(1);
    expect(stdout).toContain('-  a: one\n+  a: two');
    expect(await run('apply -f -', map('two'))).toBe('configmap/applied configured');
    expect(await run('apply --server-side -f -', map('two'))).toBe('configmap/applied serverside-applied');
    expect(await refused('apply --server-side --field-manager=other -f -', map('three'))).toContain('conflict with "kubectl": .data.a');
    expect(await run('apply --server-side --field-manager=other --force-conflicts -f -', map('three'))).toContain('serverside-applied');
    expect(await run('apply view-last-applied configmap applied')).toContain('a: two');
    expect(await refused('apply -f -', 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: applied}\ndatta: {}\n')).toContain(
      'unknown field "datta"',
    );
    expect(await run('apply --prune --prune-allowlist=core/v1/ConfigMap -l set=x -f -', map('four').replace('applied', 'kept'))).toContain(
      'configmap/applied pruned',
    );
    expect(await refused('apply --prune -f -', map('four'))).toContain('without explicitly passing --all');
  });

  it('edits with an editor', async () => {
    const editor = path.join(session.folder, 'editor');
    await writeFile(editor, '#!/bin/sh\nsed -i "s/a: .*/a: edited/" "$1"\n', { mode: 0o755 });
    const { code, stdout, stderr } = await withEnv(['edit', 'configmap', 'kept'], { EDITOR: editor });
    expect({ code, stdout, stderr }).toMatchObject({ code: 0, stdout: 'configmap/kept edited\n' });
    expect(await run('get configmap kept -o jsonpath={.data.a}')).toBe('edited');
    const same = await withEnv(['edit', 'configmap', 'kept'], { EDITOR: 'true' });
    expect(same.stdout + same.stderr).toContain('Edit cancelled, no changes made.');
  });

  it('patches in three ways and replaces', async () => {
    expect(await run('patch configmap kept --type=merge -p {"data":{"m":"1"}}')).toBe('configmap/kept patched');
    expect(await run('patch configmap kept --type=json -p [{"op":"replace","path":"/data/m","value":"2"}]')).toBe('configmap/kept patched');
    expect(await run('patch configmap kept -p {"data":{"m":"2"}}')).toBe('configmap/kept patched (no change)');
    expect(await refused('patch configmap kept --type=json -p [{"op":"remove","path":"/data/none"}]')).toContain(
      'The request is invalid: the server rejected our request due to an error in our request',
    );
    const text = (await run('get configmap kept -o json')).replace('"m": "2"', '"m": "3"');
    expect(await run('replace -f -', text)).toBe('configmap/kept replaced');
    expect(await refused('replace -f -', text)).toContain('the object has been modified; please apply your changes to the latest version');
    expect(await run('replace --force -f -', map('new').replace('applied', 'kept'))).toContain('configmap/kept replaced');
  });

  it('labels and annotates', async () => {
    expect(await run('label configmap kept tier=one')).toBe('configmap/kept labeled');
    expect(await refused('label configmap kept tier=two')).toContain("'tier' already has a value (one), and --overwrite is false");
    expect(await run('label configmap kept tier=two --overwrite')).toBe('configmap/kept labeled');
    expect(await run('label configmap kept tier-')).toBe('configmap/kept unlabeled');
    expect(await run('annotate configmap kept note=hello')).toBe('configmap/kept annotated');
    expect(await run('annotate configmap kept --list')).toContain('note=hello');
    expect(await refused("label configmap kept 'bad key=x'")).toContain('metadata.labels: Invalid value: "bad key"');
  });
});

describe('kubectl on workloads', () => {
  it('scales, rolls out, goes back, pauses and sets', async () => {
    await run('apply -f -', workload('web', loop));
    expect(await run('rollout status deployment/web --timeout=60s')).toContain('deployment "web" successfully rolled out');
    expect(await run('scale deployment/web --replicas=2')).toBe('deployment.apps/web scaled');
    await session.readyPods('app=web', 2);
    expect(await refused('scale deployment/web --current-replicas=9 --replicas=1')).toContain('Expected replicas to be 9, was 2');
    expect(await run('set env deployment/web COLOR=blue')).toBe('deployment.apps/web env updated');
    expect(await run('set image deployment/web main=busybox:2')).toBe('deployment.apps/web image updated');
    expect(await run('set resources deployment/web --requests=cpu=10m')).toBe('deployment.apps/web resource requirements updated');
    await run('rollout status deployment/web --timeout=60s');
    expect(await run('set env deployment/web --list')).toContain('COLOR=blue');
    expect((await run('rollout history deployment/web')).split('\n').length).toBeGreaterThanOrEqual(4);
    expect(await run('rollout history deployment/web --revision=2')).toContain('COLOR:');
    expect(await run('rollout undo deployment/web --to-revision=1')).toBe('deployment.apps/web rolled back');
    await run('rollout status deployment/web --timeout=60s');
    expect(await run('get deployment web -o jsonpath={.spec.template.spec.containers[0].env}')).toBe('');
    expect(await run('rollout pause deployment/web')).toBe('deployment.apps/web paused');
    expect(await refused('rollout restart deployment/web')).toContain("can't restart paused deployment");
    expect(await run('rollout resume deployment/web')).toBe('deployment.apps/web resumed');
    expect(await run('rollout restart deployment/web')).toBe('deployment.apps/web restarted');
    await run('rollout status deployment/web --timeout=60s');
    await session.readyPods('app=web', 2);
    expect(await run('wait --for=condition=Available deployment/web --timeout=20s')).toBe('deployment.apps/web condition met');
  });

  it('deletes with every propagation policy', async () => {
    await run('apply -f -', workload('left', loop, 0));
    await eventually('the replica set', async () => (await run('get rs -l app=left -o name')) !== '');
    expect(await run('delete deployment left --cascade=orphan')).toContain('deployment.apps "left" deleted');
    await eventually(
      'the replica set without owner',
      async () => (await run('get rs -l app=left -o jsonpath={.items[*].metadata.ownerReferences}')) === '',
    );
    expect(await run('delete rs -l app=left --cascade=foreground')).toContain('deleted');
    await run('apply -f -', workload('gone', loop));
    await session.readyPods('app=gone', 1);
    expect(await run('delete deployment gone --cascade=background')).toContain('deleted');
    await eventually('no pods', async () => (await run('get pods -l app=gone -o name')) === '');
    const pod = (await session.readyPods('app=web', 2))[0] ?? '';
    expect(await run(`delete pod ${pod} --grace-period=0 --force`)).toContain(`pod "${pod}" force deleted`);
    expect(await run('delete configmap none --ignore-not-found')).toBe('');
    await session.readyPods('app=web', 2);
    expect(await run('scale deployment/web --replicas=1')).toContain('scaled');
    await session.readyPods('app=web', 1);
  });

  it('cordons, taints, uncordons and drains', async () => {
    const node = (await run('get nodes -o name')).replace('node/', '');
    expect(await run(`cordon ${node}`)).toBe(`node/${node} cordoned`);
    expect(await run('get nodes')).toContain('Ready,SchedulingDisabled');
    expect(await run(`uncordon ${node}`)).toBe(`node/${node} uncordoned`);
    expect(await run(`taint nodes ${node} k=v:PreferNoSchedule`)).toBe(`node/${node} tainted`);
    expect(await run(`taint nodes ${node} k-`)).toBe(`node/${node} untainted`);
    expect(await run(`drain ${node} --ignore-daemonsets --timeout=60s --delete-emptydir-data`)).toContain(`node/${node} drained`);
    await run(`uncordon ${node}`);
    await session.readyPods('app=web', 1);
  });
});

describe('kubectl and containers', () => {
  const pod = `apiVersion: v1
kind: Pod
metadata: {name: talk, labels: {app: talk}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: first, image: busybox, stdin: true, command: [sh, -c, 'for i in 1 2 3 4 5; do echo line $i; done; exec cat']}
  - {name: second, image: busybox, command: [sh, -c, 'echo other; while :; do sleep 1; done']}
`;

  beforeAll(async () => {
    await run('apply -f -', pod);
    await run('wait --for=condition=Ready pod/talk --timeout=60s');
  });

  it('shows logs', async () => {
    expect(await run('logs talk -c first')).toBe('line 1\nline 2\nline 3\nline 4\nline 5');
    expect(await run('logs talk -c first --tail=2')).toBe('line 4\nline 5');
    expect(await run('logs talk --all-containers --prefix')).toContain('[pod/talk/second] other');
    expect(await run('logs -l app=talk -c second --since=1h --timestamps')).toMatch(/^\d{4}-\d\d-\d\dT\S+ other$/);
    expect(await run('logs talk')).toContain('line 1');
    expect(await refused('logs talk -c third')).toContain('container third is not valid for pod talk');
    expect(await refused('logs talk -c first --previous')).toContain('previous terminated container "first" in pod "talk" not found');
    const follow = spawn(kubectlPath, ['--kubeconfig', coffer.kubeconfig, '-n', session.namespace, 'logs', '-f', 'talk', '-c', 'first']);
    let seen = '';
    follow.stdout.on('data', (chunk: Buffer) => {
      seen += chunk.toString();
    });
    await eventually('the log so far', () => seen.includes('line 5'));
    // What is typed comes back from `cat`, in the attached stream and in the log.
    const attached = await session.bash('(echo typed; sleep 1) | timeout 5 kubectl attach -i talk -c first');
    expect(attached.stdout).toContain('typed');
    await eventually('the followed line', () => seen.includes('typed'));
    follow.kill();
  });

  it('executes: output, exit codes, input, a terminal', async () => {
    expect(await session.exec('talk', 'echo', 'hello')).toContain('hello');
    const failed = await session.kubectl(['exec', 'talk', '-c', 'second', '--', 'sh', '-c', 'echo bad >&2; exit 7']);
    expect(failed).toMatchObject({ code: 7, stdout: '' });
    expect(failed.stderr).toContain('bad\ncommand terminated with exit code 7');
    expect(await session.succeed(['exec', '-i', 'talk', '-c', 'second', '--', 'wc', '-c'], 'x'.repeat(100_000))).toContain('100000');
    const terminal = await session.bash(`script -qec "kubectl exec -it talk -c second -- sh -c 'test -t 0 && stty size && tty'" /dev/null`);
    expect(terminal.stdout).toMatch(/\d+ \d+\s[\s\S]*\/dev\/pts\/\d+/);
    expect(await refused('exec talk -c none -- true')).toContain('container none is not valid for pod talk');
  });

  it('copies files in and out', async () => {
    const file = await session.file('in.txt', 'copied\n');
    await session.succeed(['cp', file, 'talk:/tmp/copied.txt', '-c', 'second']);
    expect(
      await session
        .exec('talk', '-c', 'second', '--', 'cat', '/tmp/copied.txt')
        .catch(() => run('exec talk -c second -- cat /tmp/copied.txt')),
    ).toBe('copied');
    const back = path.join(session.folder, 'back.txt');
    await session.succeed(['cp', 'talk:/tmp/copied.txt', back, '-c', 'second']);
    expect(await readFile(back, 'utf8')).toBe('copied\n');
  });

  it('forwards ports', { skip: !isRoot }, async () => {
    const inside = await freePort();
    const outside = await freePort();
    const server = `while :; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\nforwarded' | busybox nc -l -p ${inside}; done`;
    await run('apply -f -', workload('server', server.replaceAll("'", "''")));
    const [name = ''] = await session.readyPods('app=server', 1);
    const child = spawn(kubectlPath, [
      ...['--kubeconfig', coffer.kubeconfig, '-n', session.namespace, 'port-forward', name, `${outside}:${inside}`],
    ]);
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    await eventually('the forwarder', () => output.includes(`Forwarding from 127.0.0.1:${outside} -> ${inside}`));
    const body = await eventually('an answer', async () => {
      const { stdout } = await runCommand('curl', ['-s', '-m', '3', `http://127.0.0.1:${outside}/`]);
      return stdout.includes('forwarded') ? stdout : undefined;
    });
    child.kill();
    expect(body).toBe('forwarded');
  });

  it('shows events, and says that there are no metrics', async () => {
    expect(await run('events --for pod/talk')).toContain('Started');
    expect(await run('get events --field-selector involvedObject.name=talk,reason=Started')).toContain('talk');
    expect(await refused('top pods')).toContain('Metrics API not available');
  });
});

describe('kubectl about the cluster', () => {
  it('discovers and explains every kind served', async () => {
    const names = (await run('api-resources -o name')).split('\n');
    expect(names).toEqual(expect.arrayContaining(['configmaps', 'secrets', 'pods', 'deployments.apps', 'leases.coordination.k8s.io']));
    expect(await run('api-resources --namespaced=false --verbs=list -o wide')).toContain('nodes');
    expect((await run('api-versions')).split('\n')).toEqual(expect.arrayContaining(['v1', 'apps/v1', 'rbac.authorization.k8s.io/v1']));
    // kubectl takes what follows the dot for a field when the first group has such a resource, too.
    const arguments_ = names.map((name) => (name === 'events.events.k8s.io' ? 'events --api-version=events.k8s.io/v1' : name));
    for (const argument of arguments_) {
      expect(await run(`explain ${argument} --recursive`), argument).toMatch(/^(GROUP:.*\n)?KIND:[\s\S]*FIELDS:/);
    }
    expect(await run('explain deployment.spec.strategy.rollingUpdate.maxSurge')).toContain('IntOrString');
    expect(await refused('explain pod.nothing')).toContain('field "nothing" does not exist');
  });

  it('asks who may do what', async () => {
    expect(await run('auth can-i create deployments')).toBe('yes');
    const robot = `system:serviceaccount:${session.namespace}:robot`;
    expect(await run(`auth can-i get configmaps --as=${robot}`)).toBe('yes');
    expect((await session.kubectl(words(`auth can-i delete configmaps --as=${robot}`))).stdout.trim()).toBe('no');
    expect(await run(`auth can-i --list --as=${robot}`)).toContain('configmaps');
    expect(await run(`auth whoami --as=${robot}`)).toContain(robot);
    expect(await refused(`get secrets --as=${robot}`)).toContain(`User "${robot}" cannot list resource "secrets"`);
  });

  it('says what it is', async () => {
    expect(await run('cluster-info')).toContain('is running at');
    expect(await run('version')).toMatch(/Server Version: v1\.36/);
    expect(await run('config view')).toContain('certificate-authority-data: DATA+OMITTED');
    expect(await run('get --raw /readyz')).toBe('ok');
    expect(JSON.parse(await run('get --raw /api/v1/namespaces/default')).kind).toBe('Namespace');
    const child = spawn(kubectlPath, ['--kubeconfig', coffer.kubeconfig, 'proxy', '--port=0']);
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    const port = await eventually('the proxy', () => /127\.0\.0\.1:(\d+)/.exec(output)?.[1]);
    const { stdout } = await runCommand('curl', ['-s', `http://127.0.0.1:${port}/version`]);
    child.kill();
    expect(JSON.parse(stdout).major).toBe('1');
  });
});
