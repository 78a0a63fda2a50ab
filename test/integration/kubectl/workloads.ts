import { describe, expect, it } from 'vitest';
import { eventually } from '../../support/coffer-process.ts';
import { type KubectlSuite, loop, workload } from './suite.ts';

/** Deployments and nodes: `scale`, `rollout`, `set`, `wait`, `delete`, `drain`. */
export function describeWorkloads(suite: KubectlSuite): void {
  const { run, refused } = suite;

  describe('kubectl on workloads', () => {
    it('scales, rolls out, goes back, pauses and sets', async () => {
      await run('apply -f -', workload('web', loop));
      expect(await run('rollout status deployment/web --timeout=60s')).toContain('deployment "web" successfully rolled out');
      expect(await run('scale deployment/web --replicas=2')).toBe('deployment.apps/web scaled');
      await suite.session.readyPods('app=web', 2);
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
      await suite.session.readyPods('app=web', 2);
      expect(await run('wait --for=condition=Available deployment/web --timeout=20s')).toBe('deployment.apps/web condition met');
      expect(await run('wait --for=jsonpath={.status.readyReplicas}=2 deployment/web --timeout=20s')).toContain('condition met');
      expect(await refused('wait --for=jsonpath={.spec.paused}=true deployment/web --timeout=1s')).toContain('timed out waiting');
      expect(await run('expose deployment web --port=80 --name=exposed')).toBe('service/exposed exposed');
      expect(await run('get endpoints exposed -o jsonpath={.metadata.name}')).toBe('exposed');
      expect(await run('delete service exposed --dry-run=server')).toContain('(server dry run)');
      expect(await run('delete service exposed --wait')).toContain('service "exposed" deleted');
      expect(await run('set serviceaccount deployment web default')).toContain('serviceaccount updated');
      expect(await run('rollout undo deployment/web --dry-run=server')).toContain('(server dry run)');
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
      await suite.session.readyPods('app=gone', 1);
      expect(await run('delete deployment gone --cascade=background')).toContain('deleted');
      await eventually('no pods', async () => (await run('get pods -l app=gone -o name')) === '');
      const pod = (await suite.session.readyPods('app=web', 2))[0] ?? '';
      expect(await run(`delete pod ${pod} --grace-period=0 --force`)).toContain(`pod "${pod}" force deleted`);
      expect(await run('delete configmap none --ignore-not-found')).toBe('');
      await suite.session.readyPods('app=web', 2);
      expect(await run('scale deployment/web --replicas=1')).toContain('scaled');
      await suite.session.readyPods('app=web', 1);
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
      await suite.session.readyPods('app=web', 1);
    });
  });
}
