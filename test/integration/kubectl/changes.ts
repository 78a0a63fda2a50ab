import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { type KubectlSuite, words } from './suite.ts';

/** `apply`, `diff`, `edit`, `patch`, `replace`, `label` and `annotate`. */
export function describeChanges(suite: KubectlSuite): void {
  const { run, refused } = suite;

  describe('kubectl apply, edit, patch and friends', () => {
    const map = (value: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: applied, labels: {set: x}}\ndata: {a: ${value}}\n`;

    it('applies on the client and on the server, dry and for real', async () => {
      expect(await run('apply -f - --dry-run=server', map('one'))).toBe('configmap/applied created (server dry run)');
      await refused('get configmap applied');
      expect(await run('apply -f -', map('one'))).toBe('configmap/applied created');
      expect(await run('apply -f -', map('one'))).toBe('configmap/applied unchanged');
      const { code, stdout } = await suite.session.kubectl(['diff', '-f', '-'], map('two'));
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
      expect(
        await run('apply --prune --prune-allowlist=core/v1/ConfigMap -l set=x -f -', map('four').replace('applied', 'kept')),
      ).toContain('configmap/applied pruned');
      expect(await refused('apply --prune -f -', map('four'))).toContain('without explicitly passing --all');
    });

    it('prunes by an apply set, and refuses kinds that are not served', async () => {
      const applySet = { KUBECTL_APPLYSET: 'true' };
      const file = await suite.session.file('first.yaml', map('one').replace('applied', 'pruned-1'));
      const other = await suite.session.file('second.yaml', map('one').replace('applied', 'pruned-2'));
      const applied = await suite.withEnv(words(`apply --prune --applyset=configmaps/all-of-it -f ${file}`), applySet);
      expect(applied).toMatchObject({ code: 0, stdout: 'configmap/pruned-1 created\n' });
      const next = await suite.withEnv(words(`apply --prune --applyset=configmaps/all-of-it -f ${other}`), applySet);
      expect(next).toMatchObject({ code: 0, stdout: 'configmap/pruned-2 created\nconfigmap/pruned-1 pruned\n' });
      // Without a list of kinds kubectl wants to prune some that this server does not have, and stops before it prunes anything.
      expect(await refused('apply --prune -l set=none -f -', map('one').replace('set: x', 'set: none'))).toContain(
        'no matches for kind "PersistentVolumeClaim" in version "v1"',
      );
      await run('delete configmap all-of-it pruned-2');
    });

    it('moves from client-side to server-side apply and back', async () => {
      const both = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: moved}\ndata: {kept: "1", dropped: "1"}\n';
      const one = both.replace(', dropped: "1"', '');
      const managers = 'get configmap moved -o jsonpath={range.metadata.managedFields[*]}{.manager}/{.operation}{end}';
      await run('apply -f -', both);
      expect(await run(managers)).toBe('kubectl-client-side-apply/Update');
      await run('apply --server-side -f -', both);
      expect(await run(managers)).toBe('kubectl/Applykubectl-last-applied/Apply');
      await run('apply --server-side -f -', one);
      expect(await run('get configmap moved -o jsonpath={.data}')).toBe('{"kept":"1"}');
      expect(await run('apply -f -', both)).toBe('configmap/moved configured');
      expect(await run('apply -f -', one)).toBe('configmap/moved configured');
      expect(await run('get configmap moved -o jsonpath={.data}')).toBe('{"kept":"1"}');
      expect(await run('apply --server-side --force-conflicts --dry-run=server -f -', both)).toBe(
        'configmap/moved serverside-applied (server dry run)',
      );
    });

    it('edits with an editor', async () => {
      const editor = path.join(suite.session.folder, 'editor');
      await writeFile(editor, '#!/bin/sh\nsed -i "s/a: .*/a: edited/" "$1"\n', { mode: 0o755 });
      const { code, stdout, stderr } = await suite.withEnv(['edit', 'configmap', 'kept'], { EDITOR: editor });
      expect({ code, stdout, stderr }).toMatchObject({ code: 0, stdout: 'configmap/kept edited\n' });
      expect(await run('get configmap kept -o jsonpath={.data.a}')).toBe('edited');
      const same = await suite.withEnv(['edit', 'configmap', 'kept'], { EDITOR: 'true' });
      expect(same.stdout + same.stderr).toContain('Edit cancelled, no changes made.');
    });

    it('patches in three ways and replaces', async () => {
      expect(await run('patch configmap kept --type=merge -p {"data":{"m":"1"}}')).toBe('configmap/kept patched');
      expect(await run('patch configmap kept --type=json -p [{"op":"replace","path":"/data/m","value":"2"}]')).toBe(
        'configmap/kept patched',
      );
      expect(await run('patch configmap kept -p {"data":{"m":"2"}}')).toBe('configmap/kept patched (no change)');
      expect(await refused('patch configmap kept --type=json -p [{"op":"remove","path":"/data/none"}]')).toContain(
        'The request is invalid: the server rejected our request due to an error in our request',
      );
      const text = (await run('get configmap kept -o json')).replace('"m": "2"', '"m": "3"');
      expect(await run('replace -f -', text)).toBe('configmap/kept replaced');
      expect(await refused('replace -f -', text)).toContain(
        'the object has been modified; please apply your changes to the latest version',
      );
      expect(await run('replace --force -f -', map('new').replace('applied', 'kept'))).toContain('configmap/kept replaced');
    });

    it('patches and edits subresources', async () => {
      await run('create deployment parted --image=busybox --replicas=0');
      expect(await run('patch deployment parted --subresource=scale --type=merge -p {"spec":{"replicas":0}}')).toContain('patched');
      await run('patch deployment parted --subresource=status --type=merge -p {"status":{"collisionCount":7},"spec":{"replicas":3}}');
      expect(await run('get deployment parted -o jsonpath={.status.collisionCount}/{.spec.replicas}')).toBe('7/0');
      const editor = path.join(suite.session.folder, 'status-editor');
      await writeFile(editor, '#!/bin/sh\nsed -i "s/collisionCount: 7/collisionCount: 8/" "$1"\n', { mode: 0o755 });
      const edited = await suite.withEnv(words('edit deployment parted --subresource=status'), { KUBE_EDITOR: editor });
      expect(edited).toMatchObject({ code: 0, stdout: 'deployment.apps/parted edited\n' });
      expect(await run('get deployment parted -o jsonpath={.status.collisionCount}')).toBe('8');
      await run('delete deployment parted --cascade=foreground');
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
}
