/** Prints what the pure parts of a write cost: ownership tracking, apply, patches and selectors. Run: `node --experimental-strip-types`, or bundled. */
import { apply } from '@coffer/api/managedfields/apply';
import { trackUpdate } from '@coffer/api/managedfields/manager';
import type { KubeObject } from '@coffer/api/meta/object';
import { cloneJson } from '@coffer/api/meta/safe-object';
import { applyJsonPatch, decodeJsonPatch } from '@coffer/api/patch/json-patch';
import { applyMergePatch } from '@coffer/api/patch/merge-patch';
import { applyStrategicMergePatch } from '@coffer/api/patch/strategic-merge-patch';
import type { GoStructSchema } from '@coffer/api/schema/schema-table';
import { builtInSchemaTable } from '@coffer/api/schema/schema-table';
import { parseLabelSelector } from '@coffer/api/selectors/labels';

const table = builtInSchemaTable();
const now = '2026-01-01T00:00:00Z';

function measure(name: string, run: () => unknown): void {
  for (let i = 0; i < 2_000; i += 1) run();
  const rounds = 20_000;
  const start = process.hrtime.bigint();
  for (let i = 0; i < rounds; i += 1) run();
  const micros = Number(process.hrtime.bigint() - start) / 1000 / rounds;
  console.log(`${name.padEnd(52)} ${micros.toFixed(2).padStart(8)} µs`);
}

function kind(group: string, version: string, name: string): GoStructSchema {
  const schema = table.kind(group, version, name);
  if (schema === undefined) throw new Error(`no kind ${name}`);
  return schema;
}

function configMap(keys: number): KubeObject {
  const data = Object.fromEntries(Array.from({ length: keys }, (_, i) => [`key-${i}`, `value ${i}`]));
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace: 'n', labels: { app: 'x', tier: 'front' } }, data };
}

const pod: KubeObject = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'n', labels: { app: 'x' } },
  spec: {
    containers: [
      {
        name: 'c',
        image: 'busybox',
        env: Array.from({ length: 20 }, (_, i) => ({ name: `VAR_${i}`, value: String(i) })),
        ports: [{ containerPort: 80, protocol: 'TCP' }],
        resources: {},
        volumeMounts: [{ name: 'v', mountPath: '/etc/v' }],
      },
    ],
    volumes: [{ name: 'v', configMap: { name: 'x', defaultMode: 420 } }],
    restartPolicy: 'Always',
  },
  status: { phase: 'Pending' },
};

function track(schema: GoStructSchema, live: KubeObject | undefined, next: KubeObject, manager = 'bench'): KubeObject {
  const entries = trackUpdate({ live, next, manager, apiVersion: 'v1', subresource: '', now, schema, table });
  return { ...next, metadata: { ...next.metadata, managedFields: entries } };
}

const configMapSchema = kind('', 'v1', 'ConfigMap');
const podSchema = kind('', 'v1', 'Pod');
for (const keys of [2, 20]) {
  const fresh = configMap(keys);
  const live = track(configMapSchema, undefined, fresh);
  const next = cloneJson(live);
  next.data = { ...(next.data as Record<string, string>), 'key-0': 'changed' };
  measure(`track: create a ConfigMap of ${keys} keys`, () => track(configMapSchema, undefined, fresh));
  measure(`track: change one of ${keys} keys`, () => track(configMapSchema, live, next));
  measure(`track: change one of ${keys} keys, another manager`, () => track(configMapSchema, live, next, 'other'));
  measure(`track: change nothing (${keys} keys)`, () => track(configMapSchema, live, cloneJson(live)));
  const config = configMap(keys);
  const options = { applied: config, kind: 'ConfigMap', apiVersion: 'v1', manager: 'bench', force: true, subresource: '', now, table };
  measure(`apply: same ConfigMap of ${keys} keys again`, () => apply({ ...options, live, schema: configMapSchema }));
}
const livePod = track(podSchema, undefined, pod);
const nextPod = { ...cloneJson(livePod), status: { phase: 'Running' } };
measure('track: create a Pod', () => track(podSchema, undefined, pod));
measure('track: change the phase of a Pod', () => track(podSchema, livePod, nextPod));

const live = configMap(20);
const jsonPatch = decodeJsonPatch([{ op: 'replace', path: '/data/key-0', value: 'x' }]);
measure('patch: JSON patch of one key of 20', () => applyJsonPatch(live, jsonPatch));
measure('patch: merge patch of one key of 20', () => applyMergePatch(live, { data: { 'key-0': 'x' } }));
const strategic = { spec: { containers: [{ name: 'c', env: [{ name: 'VAR_3', value: 'x' }] }] } };
measure('patch: strategic merge patch of one variable of a Pod', () => applyStrategicMergePatch(pod, strategic, podSchema, table));

const selector = parseLabelSelector('app=x,tier in (front,back),!legacy');
measure('selector: parse', () => parseLabelSelector('app=x,tier in (front,back),!legacy'));
measure('selector: match', () => selector.matches({ app: 'x', tier: 'front' }));
