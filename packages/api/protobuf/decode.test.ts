import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeObject } from '../codec/decode.ts';
import { StatusError } from '../errors/status-error.ts';

const contentType = 'application/vnd.kubernetes.protobuf';

function decode(apiVersion: string, kind: string, body: Uint8Array) {
  const [group, version] = apiVersion.includes('/') ? (apiVersion.split('/') as [string, string]) : ['', apiVersion];
  return decodeObject(body, { contentType, defaultGvk: { group, version, kind }, fieldValidation: 'Strict' }).object;
}

/** Bodies that kubectl 1.35 sent, and what it was asked for. */
const sent: readonly (readonly [command: string, apiVersion: string, kind: string, body: string, object: unknown])[] = [
  [
    'create configmap',
    'v1',
    'ConfigMap',
    'azhzAAoPCgJ2MRIJQ29uZmlnTWFwEiYKEgoCY20SABoAIgAqADIAOABCABIGCgFhEgExEggKAWISA3R3bxoAIgA=',
    { metadata: { name: 'cm' }, data: { a: '1', b: 'two' } },
  ],
  [
    'create secret generic',
    'v1',
    'Secret',
    'azhzAAoMCgJ2MRIGU2VjcmV0Eh0KEQoBcxIAGgAiACoAMgA4AEIAEgYKAXASAXEaABoAIgA=',
    { metadata: { name: 's' }, data: { p: 'cQ==' } },
  ],
  [
    'create deployment',
    'apps/v1',
    'Deployment',
    'azhzAAoVCgdhcHBzL3YxEgpEZXBsb3ltZW50ErYBChsKAWQSABoAIgAqADIAOABCAFoICgNhcHASAWQSiAEIAhIKCggKA2FwcBIBZBpwChoKABIAGgAiACoAMgA4AEIAWggKA2FwcBIBZBJSEjQKB2J1c3lib3gSCWJ1c3lib3g6MSoAMgoKABAAGFAiACoAQgBqAHIAgAEAiAEAkAEAogEAGgAyAEIASgBSAFgAYABoAIIBAIoBAJoBAMIBACICCgAoADgAGgwIABAAGAAgACgAOAAaACIA',
    {
      metadata: { name: 'd', labels: { app: 'd' } },
      spec: {
        replicas: 2,
        selector: { matchLabels: { app: 'd' } },
        template: {
          metadata: { labels: { app: 'd' } },
          spec: { containers: [{ name: 'busybox', image: 'busybox:1', ports: [{ containerPort: 80 }], resources: {} }] },
        },
        strategy: {},
      },
      status: {},
    },
  ],
  [
    'create role',
    'rbac.authorization.k8s.io/v1',
    'Role',
    'azhzAAokChxyYmFjLmF1dGhvcml6YXRpb24uazhzLmlvL3YxEgRSb2xlEi4KEQoBchIAGgAiACoAMgA4AEIAEhkKA2dldBIAGgRwb2RzGgpjb25maWdtYXBzGgAiAA==',
    { metadata: { name: 'r' }, rules: [{ verbs: ['get'], apiGroups: [''], resources: ['pods', 'configmaps'] }] },
  ],
  [
    'create token --duration=10m',
    'authentication.k8s.io/v1',
    'TokenRequest',
    'azhzAAooChhhdXRoZW50aWNhdGlvbi5rOHMuaW8vdjESDFRva2VuUmVxdWVzdBIdChAKABIAGgAiACoAMgA4AEIAEgMg2AQaBAoAEgAaACIA',
    { metadata: {}, spec: { expirationSeconds: 600 }, status: { token: '' } },
  ],
  [
    'create service clusterip',
    'v1',
    'Service',
    'azhzAAoNCgJ2MRIHU2VydmljZRJpCh8KA3N2YxIAGgAiACoAMgA4AEIAWgoKA2FwcBIDc3ZjEkIKGwoHODAtODA4MBIDVENQGFAiBwgAEJA/GgAoABIKCgNhcHASA3N2YxoAIglDbHVzdGVySVA6AEIAUgBaAGAAaAAaAgoAGgAiAA==',
    {
      metadata: { name: 'svc', labels: { app: 'svc' } },
      spec: {
        ports: [{ name: '80-8080', protocol: 'TCP', port: 80, targetPort: 8080 }],
        selector: { app: 'svc' },
        type: 'ClusterIP',
      },
      status: { loadBalancer: {} },
    },
  ],
];

describe('protobuf bodies', () => {
  it.each(sent)('kubectl %s', (_, apiVersion, kind, body, object) => {
    expect(decode(apiVersion, kind, Buffer.from(body, 'base64'))).toEqual({ apiVersion, kind, ...(object as object) });
  });

  /** `k8s\0` and an envelope around a ConfigMap message. */
  const envelope = (message: readonly number[]): Uint8Array => Uint8Array.of(0x6b, 0x38, 0x73, 0, 0x12, message.length, ...message);

  it('keeps keys of any name', () => {
    const key = [...Buffer.from('__proto__')];
    const body = envelope([0x12, key.length + 5, 0x0a, key.length, ...key, 0x12, 1, 0x78]);
    expect(JSON.stringify(decode('v1', 'ConfigMap', body).data)).toBe('{"__proto__":"x"}');
  });

  it('skips fields it does not know', () => {
    const body = envelope([0xf8, 0x07, 5, 0xfa, 0x07, 2, 1, 2, 0x20, 1]);
    expect(decode('v1', 'ConfigMap', body)).toEqual({ apiVersion: 'v1', kind: 'ConfigMap', metadata: {}, immutable: true });
  });

  const unrecognized = 'the object provided is unrecognized (must be of type ConfigMap): ';
  const refused = 'ConfigMap in version "v1" cannot be handled as a ConfigMap: ';
  it.each([
    ['nothing', Uint8Array.of(), `${unrecognized}empty data (<empty>)`],
    ['the prefix only', Uint8Array.of(0x6b, 0x38, 0x73, 0), `${unrecognized}empty body (6b387300)`],
    [
      'JSON',
      Buffer.from('{}'),
      `${unrecognized}provided data does not appear to be a protobuf message, expected prefix [107 56 115 0] ({})`,
    ],
    ['a cut envelope', Uint8Array.of(0x6b, 0x38, 0x73, 0, 0x12, 5, 1), `${unrecognized}unexpected EOF (6b387300120501)`],
    ['a cut message', envelope([0x0a, 5, 1]), `${refused}unexpected EOF`],
    ['a number for a message', envelope([0x08, 1]), `${refused}proto: wrong wireType = 0 for field Metadata`],
    ['an end of no group', envelope([0x0c]), `${refused}proto: ConfigMap: wiretype end group for non-group`],
    ['field number 0', envelope([0x02, 0]), `${refused}proto: ConfigMap: illegal tag 0 (wire type 2)`],
    ['a number without end', envelope(Array(12).fill(0xff)), `${refused}proto: integer overflow`],
  ])('refuses %s', (_, body, message) => {
    expect(() => decode('v1', 'ConfigMap', body)).toThrow(message);
  });

  it('limits the nesting of JSON inside the message', () => {
    const json = Buffer.from('['.repeat(5000) + ']'.repeat(5000));
    const field = (number: number, content: Uint8Array): Buffer => {
      const { length } = content;
      return Buffer.concat([Uint8Array.of((number << 3) | 2, (length & 0x7f) | 0x80, length >> 7), content]);
    };
    // raw → fieldsV1 → managedFields (field 17 has a tag of two bytes) → metadata
    const entry = field(7, field(1, json));
    const managedFields = Buffer.concat([Uint8Array.of(0x8a, 0x01, (entry.length & 0x7f) | 0x80, entry.length >> 7), entry]);
    const body = Buffer.concat([Uint8Array.of(0x6b, 0x38, 0x73, 0), field(2, field(1, managedFields))]);
    expect(() => decode('v1', 'ConfigMap', body)).toThrow('exceeded max depth');
  });

  it('answers every damaged body with an object or a refusal', () => {
    const bodies = sent.map(([, apiVersion, kind, body]) => ({ apiVersion, kind, body: Buffer.from(body, 'base64') }));
    const change = fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) });
    fc.assert(
      fc.property(fc.constantFrom(...bodies), fc.array(change, { maxLength: 3 }), fc.nat(), ({ apiVersion, kind, body }, changes, cut) => {
        const damaged = Buffer.from(body);
        for (const { at, byte } of changes) damaged[at % damaged.length] = byte;
        try {
          decode(apiVersion, kind, cut % 3 === 0 ? damaged.subarray(0, cut % damaged.length) : damaged);
        } catch (error) {
          expect(error).toBeInstanceOf(StatusError);
          expect((error as StatusError).code).toBe(400);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
