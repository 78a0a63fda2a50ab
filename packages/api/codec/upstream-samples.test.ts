import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { builtInSchemaTable } from '../schema/schema-table.ts';
import { canonicalize } from './canonicalize.ts';
import { decodeObject } from './decode.ts';
import { toYaml } from './yaml.ts';

/**
 * Debian's golang-k8s-api-dev 0.36 holds one object of every kind with every field set, in JSON, YAML and protobuf. Where it is
 * installed or was fetched, all three must decode to the same object, and that must be written byte for byte as upstream writes it. This also
 * compares every field number of the schema table.
 */
const fetched = path.join(import.meta.dirname, '../../../.cache/gocode');
const samples = ['/usr/share/gocode/src', fetched]
  .map((dir) => path.join(dir, 'k8s.io/api/testdata/HEAD'))
  .find((dir) => fs.existsSync(dir));
const table = builtInSchemaTable();

const formats = [
  ['json', 'application/json'],
  ['yaml', 'application/yaml'],
  ['pb', 'application/vnd.kubernetes.protobuf'],
] as const;

describe('samples of upstream', () => {
  it.skipIf(samples === undefined)('read and written as upstream (needs hack/fetch-upstream-samples.mjs)', () => {
    if (samples === undefined) return;
    let compared = 0;
    for (const file of fs.readdirSync(samples).filter((f) => f.endsWith('.json'))) {
      const text = fs.readFileSync(path.join(samples, file), 'utf8').trimEnd();
      const { apiVersion = '', kind = '' } = JSON.parse(text) as { apiVersion?: string; kind?: string };
      const [group = '', version = ''] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
      if (version !== 'v1' || table.kind(group, version, kind) === undefined) continue;
      compared++;
      for (const [extension, contentType] of formats) {
        const body = fs.readFileSync(path.join(samples, file.replace(/json$/, extension)));
        const { object, schema } = decodeObject(body, { contentType, defaultGvk: { group, version, kind }, fieldValidation: 'Strict' });
        const canonical = canonicalize(object, schema, table);
        if (extension === 'yaml') expect(toYaml(canonical), file).toBe(body.toString('utf8'));
        else expect(JSON.stringify(canonical, null, 2), `${file} as ${extension}`).toBe(text);
      }
    }
    expect(compared).toBeGreaterThan(30);
  });
});
