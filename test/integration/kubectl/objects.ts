import { spawn } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { eventually } from '../../support/coffer-process.ts';
import type { KubectlSuite } from './suite.ts';

/** `create`, `get` and `describe`. */
export function describeObjects(suite: KubectlSuite): void {
  const { run, refused } = suite;

  describe('kubectl create and get', () => {
    it('creates objects of every kind it has a generator for', async () => {
      expect(await run('create configmap app --from-literal=a=1 --from-literal=b=two')).toBe('configmap/app created');
      expect(await run('create secret generic app --from-literal=p=q')).toBe('secret/app created');
      expect(await run('create secret docker-registry pull --docker-username=u --docker-password=p --docker-server=r.example')).toBe(
        'secret/pull created',
      );
      expect(await run('create serviceaccount robot')).toBe('serviceaccount/robot created');
      expect(await run('create role reader --verb=get,list --resource=configmaps')).toBe('role.rbac.authorization.k8s.io/reader created');
      expect(await run(`create rolebinding reader --role=reader --serviceaccount=${suite.session.namespace}:robot`)).toContain('created');
      expect(await run('create service clusterip web --tcp=80:8080')).toBe('service/web created');
      expect(await run('create deployment idle --image=busybox --replicas=0')).toBe('deployment.apps/idle created');
      expect(await run('create token robot --duration=10m')).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
      expect(await run('create clusterrole verbs-reader --verb=get --resource=pods --resource-name=x')).toContain('created');
      expect(await run('create clusterrolebinding verbs-reader --clusterrole=verbs-reader --user=u --group=g')).toContain('created');
      expect(await run('create service nodeport ported --tcp=80:8080')).toBe('service/ported created');
      expect(await run('create service loadbalancer balanced --tcp=80')).toBe('service/balanced created');
      expect(await run('create service externalname far --external-name=far.example.com')).toBe('service/far created');
      expect(await run('run once --image=busybox --restart=Never --command -- true')).toBe('pod/once created');
      expect(await run('create -f -', '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"gen-"}}')).toMatch(
        /^configmap\/gen-\w{5} created$/,
      );
      expect(await run('create configmap dry --from-literal=a=b --dry-run=server -o name')).toBe('configmap/dry');
      // Kinds that are not served are refused as on any server without them.
      expect(await refused('create job work --image=busybox')).toContain(
        'the server could not find the requested resource (post jobs.batch)',
      );
      expect(await refused('create ingress in --rule=example.com/=web:80')).toContain('the server could not find the requested resource');
      expect(await run('create quota objects --hard=configmaps=100,secrets=100')).toBe('resourcequota/objects created');
      expect(await run('create poddisruptionbudget few --selector=app=none --max-unavailable=1')).toBe(
        'poddisruptionbudget.policy/few created',
      );
      expect(await run('create priorityclass generated --value=10')).toBe('priorityclass.scheduling.k8s.io/generated created');
      await run('delete quota/objects pdb/few priorityclass/generated');
      await run('delete clusterrole/verbs-reader clusterrolebinding/verbs-reader service/ported service/balanced service/far');
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
      expect(await run('get configmap app -o yaml --show-managed-fields')).toContain('manager: kubectl-create');
      expect(await run('get configmap app --show-labels')).toMatch(/LABELS\napp .* <none>$/);
      expect(await run('get configmap app -o jsonpath-as-json={.data.a}')).toBe('[\n    "1"\n]');
      expect(await run('get deployment idle --subresource=scale')).toMatch(/^NAME +DESIRED +AVAILABLE +AGE?\nidle +0 +0/);
      expect(await run('get deployment idle --subresource=status -o jsonpath={.kind}')).toBe('Deployment');
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
        suite.kubectl,
        [
          '--kubeconfig',
          suite.coffer.kubeconfig,
          '-n',
          suite.session.namespace,
          'get',
          'configmap',
          'app',
          '-w',
          '-o',
          'jsonpath={.data.a} ',
        ],
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
      const table = await suite.session.bash('timeout 2 kubectl get configmaps -l half=first -w --output-watch-events');
      expect(table.stdout).toMatch(/^EVENT +NAME +DATA +AGE\nADDED +page-1 .*\nADDED +page-2 .*\n$/);
    });

    it('describes', async () => {
      expect(await run('describe configmap app')).toMatch(/Name: +app[\s\S]*Data\n====\na:\n----\n5/);
      expect(await run('describe secret app')).toMatch(/p: +1 bytes/);
      expect(await run('describe deployment idle')).toContain('Replicas:               0 desired');
      expect(await run('describe serviceaccount robot')).toContain('Name:                robot');
      expect(await run('describe service web')).toContain('TargetPort:               8080/TCP');
      expect(await run('describe role reader')).toContain('configmaps');
      expect(await run(`describe namespace ${suite.session.namespace}`)).toContain('Status:       Active');
    });
  });
}
