import { describe, expect, it } from 'vitest';
import type { StatusError } from '../errors/status-error.ts';
import { builtInSchemaTable } from '../schema/schema-table.ts';
import { canonicalize } from './canonicalize.ts';
import { decodeDeleteOptions, decodeObject } from './decode.ts';

const table = builtInSchemaTable();
const configMap = { group: '', version: 'v1', kind: 'ConfigMap' };
const secret = { group: '', version: 'v1', kind: 'Secret' };
const pod = { group: '', version: 'v1', kind: 'Pod' };
const deployment = { group: 'apps', version: 'v1', kind: 'Deployment' };
type Gvk = typeof configMap;

function decode(gvk: Gvk, body: unknown, fieldValidation: 'Ignore' | 'Warn' | 'Strict' = 'Warn', contentType = 'application/json') {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return decodeObject(Buffer.from(text), { contentType, defaultGvk: gvk, fieldValidation });
}

function canonical(gvk: Gvk, body: unknown): unknown {
  const { object, schema } = decode(gvk, body);
  return canonicalize(object, schema, table);
}

function refusal(gvk: Gvk, body: unknown, contentType = 'application/json'): string {
  try {
    decode(gvk, body, 'Strict', contentType);
  } catch (error) {
    expect((error as StatusError).code).toBe(400);
    return (error as StatusError).message;
  }
  throw new Error('was accepted');
}

describe('decodeObject: what the body is', () => {
  it('fills in a missing apiVersion and kind', () => {
    expect(decode(configMap, { metadata: { name: 'a' } }).object).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap' });
    expect(decode(configMap, 'null').object).toEqual({ apiVersion: 'v1', kind: 'ConfigMap', metadata: {} });
  });

  const unrecognized = 'the object provided is unrecognized (must be of type ConfigMap): ';
  const noType = `${unrecognized}couldn't get version/kind; json parse error: `;
  const typeStruct = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }';
  it.each([
    ['', `${noType}unexpected end of JSON input (<empty>)`],
    ['{"a":', `${noType}unexpected end of JSON input ({"a":)`],
    ['{"a":1}x', `${noType}invalid character 'x' after top-level value ({"a":1}x)`],
    ['{a:1}', `${noType}invalid character 'a' looking for beginning of object key string ({a:1})`],
    ['\u00fc', `${noType}invalid character '\u00c3' looking for beginning of value (c3bc)`],
    ['[]', `${noType}json: cannot unmarshal array into Go value of type ${typeStruct} (5b5d)`],
    ['{"kind":5}', `${noType}json: cannot unmarshal number into Go struct field .kind of type string ({"kind":5})`],
    ['{"apiVersion":"a/b/c"}', `${unrecognized}unexpected GroupVersion string: a/b/c ({"apiVersion":"a/b/c"})`],
    [`{"a":"${'x'.repeat(40)}"`, `${noType}unexpected end of JSON input ({"a":"${'x'.repeat(24)} ...)`],
  ])('refuses %s', (body, message) => {
    expect(refusal(configMap, body)).toBe(message);
  });

  it.each([
    [
      configMap,
      'v1',
      'Secret',
      'Secret in version "v1" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion',
    ],
    [
      deployment,
      'batch/v1',
      'Job',
      'Job in version "v1" cannot be handled as a Deployment: converting (v1.Job) to (apps.Deployment): unknown conversion',
    ],
    [
      configMap,
      'v2',
      'ConfigMap',
      'ConfigMap in version "v2" cannot be handled as a ConfigMap: no kind "ConfigMap" is registered for version "v2" in scheme "pkg/api/legacyscheme/scheme.go:30"',
    ],
    [
      configMap,
      'apps/v1',
      'ConfigMap',
      'ConfigMap in version "v1" cannot be handled as a ConfigMap: no kind "ConfigMap" is registered for version "apps/v1" in scheme "pkg/api/legacyscheme/scheme.go:30"',
    ],
    [
      { group: '', version: 'v1', kind: 'Event' },
      'events.k8s.io/v1',
      'Event',
      'the API version in the data (events.k8s.io/v1) does not match the expected API version (v1)',
    ],
  ])('refuses a body for %o that says %s %s', (gvk, apiVersion, kind, message) => {
    expect(refusal(gvk, { apiVersion, kind })).toBe(message);
  });

  it('refuses content types that are not spoken', () => {
    expect(() => decode(configMap, {}, 'Warn', 'text/plain')).toThrow(
      'the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf',
    );
    expect(decode(configMap, {}, 'Warn', 'application/json; charset=utf-8').object.kind).toBe('ConfigMap');
  });

  it('refuses what is nested too deeply, without running out of stack', () => {
    expect(refusal(configMap, `{"x":${'['.repeat(200_000)}${']'.repeat(200_000)}}`)).toContain('exceeded max depth');
  });
});

describe('decodeObject: types', () => {
  const in1 = (kind: string, message: string) => `${kind} in version "v1" cannot be handled as a ${kind}: ${message}`;
  it.each([
    [configMap, { data: { k: 1 } }, 'json: cannot unmarshal number into Go struct field ConfigMap.data of type string'],
    [configMap, { data: [] }, 'json: cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string'],
    [configMap, { metadata: 'x' }, 'json: cannot unmarshal string into Go struct field ConfigMap.metadata of type v1.ObjectMeta'],
    [configMap, { immutable: 'yes' }, 'json: cannot unmarshal string into Go struct field ConfigMap.immutable of type bool'],
    [secret, { data: { k: 5 } }, 'json: cannot unmarshal number into Go struct field Secret.data of type []uint8'],
    [secret, { data: { k: [1, 256] } }, 'json: cannot unmarshal number 256 into Go struct field Secret.data of type uint8'],
    [secret, { data: { k: [-1] } }, 'json: cannot unmarshal number -1 into Go struct field Secret.data of type uint8'],
    [secret, '{"data":{"k":[1.0]}}', 'json: cannot unmarshal number 1.0 into Go struct field Secret.data of type uint8'],
    [secret, { data: { k: [[1]] } }, 'json: cannot unmarshal array into Go struct field Secret.data of type uint8'],
    [secret, { data: { k: ['x'] } }, 'json: cannot unmarshal string into Go struct field Secret.data of type uint8'],
    [secret, { type: {} }, 'json: cannot unmarshal object into Go struct field Secret.type of type v1.SecretType'],
    [
      pod,
      { spec: { containers: 'x' } },
      'json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container',
    ],
    [
      pod,
      { spec: { containers: ['x'] } },
      'json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type v1.Container',
    ],
    [
      pod,
      { spec: { volumes: [{ configMap: [] }] } },
      'json: cannot unmarshal array into Go struct field Volume.spec.volumes.VolumeSource.configMap of type v1.ConfigMapVolumeSource',
    ],
    [
      deployment,
      { spec: { replicas: '3' } },
      'json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32',
    ],
    [
      deployment,
      '{"spec":{"replicas":3.0}}',
      'json: cannot unmarshal number 3.0 into Go struct field DeploymentSpec.spec.replicas of type int32',
    ],
    [
      deployment,
      '{"spec":{"replicas":3000000000}}',
      'json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32',
    ],
    [
      deployment,
      { spec: { strategy: { rollingUpdate: { maxSurge: 1.5 } } } },
      'json: cannot unmarshal number 1.5 into Go struct field RollingUpdateDeployment.spec.strategy.rollingUpdate.maxSurge of type int32',
    ],
    [
      configMap,
      { metadata: { creationTimestamp: 'now' } },
      'parsing time "now" as "2006-01-02T15:04:05Z07:00": cannot parse "now" as "2006"',
    ],
    [
      pod,
      { spec: { containers: [{ resources: { limits: { cpu: 'much' } } }] } },
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ],
    [secret, { data: { k: 'YQ=' } }, 'illegal base64 data at input byte 3'],
  ])('%o: %j', (gvk, body, message) => {
    expect(refusal(gvk, body)).toBe(in1(gvk.kind, message));
  });

  it('reports the first wrong type, but one that a type reads itself before all', () => {
    expect(refusal(configMap, { data: { k: 1 }, immutable: 'x' })).toContain('ConfigMap.data');
    expect(refusal(configMap, { data: { k: 1 }, metadata: { creationTimestamp: 5 } })).toContain(
      'Go struct field ObjectMeta.metadata.creationTimestamp of type string',
    );
  });

  it.each([
    [[1, 2, 255], 'AQL/'],
    [[null], 'AA=='],
    [[7, null, 7], 'BwAH'],
    [[], ''],
    [null, ''],
  ])('reads the list of bytes %j, in JSON and YAML', (list, base64) => {
    expect(canonical(secret, { data: { k: list } })).toMatchObject({ data: { k: base64 } });
    const yaml = `data:\n  k: ${JSON.stringify(list)}\n`;
    expect(decode(secret, yaml, 'Strict', 'application/yaml').object).toMatchObject({ data: { k: base64 } });
  });

  it('brings scalars into canonical form', () => {
    const body = { data: { a: 'YR==', b: 'Y\nWJj', c: [1, 2] }, metadata: { creationTimestamp: '2020-01-01T01:00:00.5+02:00' } };
    expect(canonical(secret, body)).toMatchObject({
      data: { a: 'YQ==', b: 'YWJj', c: 'AQI=' },
      metadata: { creationTimestamp: '2019-12-31T23:00:00Z' },
    });
  });

  it('keeps keys of any name', () => {
    const body = '{"data":{"__proto__":"a","constructor":"b","toString":"c"},"metadata":{"labels":{"__proto__":"x"}}}';
    const { object } = decode(configMap, body);
    expect(JSON.stringify(object.data)).toBe('{"__proto__":"a","constructor":"b","toString":"c"}');
    expect(JSON.stringify(canonical(configMap, body))).toContain('"data":{"__proto__":"a","constructor":"b","toString":"c"}');
  });

  it('replaces lone surrogates, as UTF-8 cannot hold them', () => {
    expect(decode(configMap, '{"data":{"k":"\\ud83d\\ude00 \\ud800"}}').object.data).toEqual({ k: '\u{1f600} \ufffd' });
  });
});

describe('decodeObject: unknown and repeated fields', () => {
  const body = '{"metadata":{"name":"a","name":"b","bogus":1},"data":{"k":"1","k":"2"},"spec":{"x":1,"x":2}}';
  it('warns in document order and keeps the last value', () => {
    const { object, strictErrors } = decode(configMap, body);
    expect(strictErrors).toEqual([
      'duplicate field "metadata.name"',
      'unknown field "metadata.bogus"',
      'duplicate field "data.k"',
      'unknown field "spec"',
    ]);
    expect(object).toEqual({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'b' }, data: { k: '2' } });
  });

  it('refuses all of them together when strict', () => {
    expect(refusal(configMap, { spec: {}, metadata: { x: 1 } })).toBe(
      'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "spec", unknown field "metadata.x"',
    );
  });

  it('says nothing when told to ignore them', () => {
    expect(decode(configMap, body, 'Ignore').strictErrors).toEqual([]);
  });

  it('names list items by index', () => {
    const { strictErrors } = decode(pod, { spec: { containers: [{ name: 'a' }, { name: 'b', foo: 1, env: [{ bar: 2 }] }] } });
    expect(strictErrors).toEqual(['unknown field "spec.containers[1].foo"', 'unknown field "spec.containers[1].env[0].bar"']);
  });

  it('is not confused by quotes and colons in strings', () => {
    expect(decode(configMap, { data: { k: '"k":"\\', '"': '":', 'a\\"': ':' } }).strictErrors).toEqual([]);
  });
});

describe('decodeObject: YAML', () => {
  it('reads scalars as kubectl does', () => {
    const { object } = decode(
      pod,
      'metadata: {name: p}\nspec:\n  hostNetwork: yes\n  terminationGracePeriodSeconds: 010\n  volumes:\n  - name: v\n    configMap: {name: c, defaultMode: 0444}\n',
      'Strict',
      'application/yaml',
    );
    expect(object.spec).toEqual({
      hostNetwork: true,
      terminationGracePeriodSeconds: 8,
      volumes: [{ name: 'v', configMap: { name: 'c', defaultMode: 0o444 } }],
    });
  });

  it('turns keys into strings', () => {
    const { object } = decode(configMap, 'data: {y: "1", 2: "b", null2: c}', 'Strict', 'application/yaml');
    expect(object.data).toEqual({ true: '1', '2': 'b', null2: 'c' });
  });

  it('reports repeated keys with their lines', () => {
    const { strictErrors } = decode(configMap, 'data:\n  a: "1"\n  a: "2"\nfoo: 1\n', 'Warn', 'application/yaml');
    expect(strictErrors).toEqual(['yaml: unmarshal errors:\n  line 3: key "a" already set in map', 'unknown field "foo"']);
  });

  it('explains what is no YAML', () => {
    expect(refusal(configMap, 'a: b: c', 'application/yaml')).toBe(
      'the object provided is unrecognized (must be of type ConfigMap): yaml: mapping values are not allowed in this context (613a20623a2063)',
    );
  });
});

describe('canonicalize', () => {
  it('writes what Go always writes and leaves out what Go leaves out', () => {
    const containers = [{ name: 'c', image: '', command: [], env: [{ name: 'A', value: '' }], stdin: false }];
    expect(
      canonical(deployment, {
        metadata: { labels: {}, name: 'd' },
        spec: { replicas: 0, paused: false, template: { spec: { containers } } },
      }),
    ).toEqual({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'd' },
      spec: {
        replicas: 0,
        selector: null,
        strategy: {},
        template: { metadata: {}, spec: { containers: [{ name: 'c', env: [{ name: 'A' }], resources: {} }] } },
      },
      status: {},
    });
  });

  it('writes null for empty lists that Go never leaves out, and for times that are not set', () => {
    const role = { group: 'rbac.authorization.k8s.io', version: 'v1', kind: 'Role' };
    expect(canonical(role, { rules: [] })).toMatchObject({ rules: null });
    expect(canonical({ group: '', version: 'v1', kind: 'Event' }, { involvedObject: {} })).toMatchObject({
      eventTime: null,
      firstTimestamp: null,
    });
  });

  it('puts fields into the order of the type and sorts map keys', () => {
    const text = JSON.stringify(
      canonical(configMap, { data: { b: '2', a: '1' }, metadata: { namespace: 'n', name: 'a' }, immutable: true }),
    );
    expect(text).toBe(
      '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","namespace":"n"},"immutable":true,"data":{"a":"1","b":"2"}}',
    );
  });

  it('changes nothing when applied again', () => {
    const body = {
      spec: { containers: [{ name: 'c', env: [{ name: 'A', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } }] }] },
    };
    const { object, schema } = decode(pod, body);
    const once = canonicalize(object, schema, table);
    expect(canonicalize(once, schema, table)).toEqual(once);
    expect(JSON.stringify(once)).toContain('"divisor":"0"');
  });
});

describe('decodeDeleteOptions', () => {
  const read = (body: unknown) => decodeDeleteOptions(Buffer.from(JSON.stringify(body)), 'application/json');
  it('accepts the options of any group version', () => {
    expect(read({ kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: 0, preconditions: { uid: 'u' } })).toMatchObject({
      gracePeriodSeconds: 0,
      preconditions: { uid: 'u' },
    });
    expect(read({ kind: 'DeleteOptions', apiVersion: 'apps/v1', propagationPolicy: 'Orphan' })).toMatchObject({
      propagationPolicy: 'Orphan',
    });
    expect(read({ propagationPolicy: 'Foreground', unknown: 1 })).toEqual({ propagationPolicy: 'Foreground' });
  });

  it('refuses anything else', () => {
    expect(() => read({ kind: 'Pod', apiVersion: 'v1' })).toThrow('no kind "Pod" is registered for version "v1"');
    expect(() => read({ gracePeriodSeconds: 'x' })).toThrow(
      'json: cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds of type int64',
    );
  });
});

describe('decodeObject of values that hide inherited methods', () => {
  it.each(['application/json', 'application/yaml'])('says what it met instead of a port: %s', (contentType) => {
    const probe = { tcpSocket: { port: { toString: 'own', valueOf: 'own' } } };
    const body = Buffer.from(JSON.stringify({ spec: { containers: [{ name: 'a', readinessProbe: probe }] } }));
    const defaultGvk = { group: '', version: 'v1', kind: 'Pod' };
    expect(() => decodeObject(body, { contentType, defaultGvk, fieldValidation: 'Warn' })).toThrow(
      /cannot unmarshal object .* of type int32/,
    );
  });
});
