import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, CofferProcess, eventually } from '../support/coffer-process.ts';
import { refusal } from './config-oracle.ts';
import { isRecord, own, type Tree, yamlText } from './json-tree.ts';
import { mutate, pick } from './mutate.ts';
import { protobufBody } from './protobuf-body.ts';
import { type Sample, samples } from './sample-objects.ts';
import { seededRandom } from './seeded-random.ts';
import { missingParts } from './stored-as-sent.ts';
import { isUpstreams500 } from './upstreams-500.ts';

/**
 * Broken bodies of every kind in JSON, YAML and protobuf. The answer is 2xx, and then a GET returns what was sent with defaults, or a
 * 4xx that names the field or the place; for ConfigMaps and Secrets an independent oracle says which.
 */
const full = process.env.COFFER_SOAK === '1';
const bodies = full ? 10_000 : 1_000;
const parallel = 64;
const seed = Number(process.env.COFFER_SEED ?? Date.now() % 1_000_000);

let coffer: CofferProcess;
let heapBefore: number | undefined;

beforeAll(async () => {
  coffer = await CofferProcess.start({ args: ['--runtime', 'none', '--history-max-bytes', '4194304'] });
});
afterAll(async () => {
  expect(coffer.child.exitCode ?? coffer.child.signalCode, coffer.output).toBeNull();
  await coffer.dispose();
});

const contentTypes = { json: 'application/json', yaml: 'application/yaml', protobuf: 'application/vnd.kubernetes.protobuf' } as const;

interface Attempt {
  readonly format: keyof typeof contentTypes;
  readonly strict: boolean;
  readonly body: Uint8Array;
  /** What the body stands for; undefined when its bytes were damaged. */
  readonly object: Tree | undefined;
  readonly changes: readonly string[];
}

function attempt(random: () => number, sample: Sample, name: string): Attempt {
  const format = pick(random, ['json', 'yaml', 'protobuf'] as const);
  const strict = random() < 0.4;
  const object = sample.object(name);
  const changes = mutate(random, object);
  const encoded = format === 'protobuf' ? protobufBody(sample.apiVersion, sample.kind, object) : undefined;
  const body = encoded?.bytes ?? Buffer.from(format === 'json' ? JSON.stringify(object) : yamlText(object));
  if (random() >= 0.2) return { format, strict, body, object: encoded?.sent ?? object, changes };
  return { format, strict, body: damage(random, body), object: undefined, changes };
}

/** Cuts the body off, or changes, removes or adds some bytes. */
function damage(random: () => number, body: Uint8Array): Uint8Array {
  const at = Math.floor(random() * body.length);
  const byte = (): number => Math.floor(random() * 256);
  switch (Math.floor(random() * 4)) {
    case 0:
      return body.subarray(0, at);
    case 1:
      return Buffer.concat([body.subarray(0, at), body.subarray(at + 1 + (byte() % 8))]);
    case 2:
      return Buffer.concat([body.subarray(0, at), Buffer.from([byte(), byte(), byte(), byte()]), body.subarray(at)]);
    default:
      return Buffer.concat([body.subarray(0, at), Buffer.from([byte()]), body.subarray(at + 1)]);
  }
}

/** A refusal that a user can act on: a field, a position, or what the decoder met where. */
const pointer =
  /metadata|spec|unknown field|unmarshal|invalid character|unexpected end of JSON|line \d+|yaml: |proto: |unexpected EOF|integer overflow|json parse error|namespace|the name of the object|no kind|does not match|cannot be handled as|parsing time|illegal base64|quantities|empty body|empty data|token is required|GroupVersion string|map key|expected prefix|looking for|Only one default can exist/;

function pointsAtSomething(answer: Answer): boolean {
  if (answer.body?.kind !== 'Status') return false;
  const { details, message } = answer.body as { details?: { causes?: { field?: string }[] }; message?: string };
  if (answer.status === 422) return details?.causes?.every((cause) => (cause.field ?? '') !== '') === true && details.causes.length > 0;
  if (answer.status === 409) return /already exists/.test(message ?? '');
  return pointer.test(message ?? '');
}

/** Fields that a kind rewrites on purpose. */
const rewritten: Readonly<Record<string, RegExp>> = {
  Node: /^spec\.podCIDRs/,
  // A negative time is treated as one second.
  Pod: /^spec\.terminationGracePeriodSeconds$/,
  Service: /^spec\.sessionAffinityConfig/,
};

async function check(sample: Sample, made: Attempt): Promise<string | undefined> {
  const { format, strict, body, object, changes } = made;
  const headers = { 'content-type': contentTypes[format], accept: 'application/json' };
  const answer = await coffer.call('POST', `${sample.path}${strict ? '?fieldValidation=Strict' : ''}`, body, headers);
  const accepted = answer.status >= 200 && answer.status < 300;
  const problems: string[] = [];
  const refused = (answer.status >= 400 && answer.status < 500) || isUpstreams500('POST', answer);
  if (!accepted && !refused) problems.push('unexpected status');
  if (answer.status >= 400 && answer.status < 500 && !pointsAtSomething(answer)) problems.push('the refusal points at nothing');
  if (object !== undefined && (sample.kind === 'ConfigMap' || sample.kind === 'Secret') && answer.status !== 409) {
    const reason = refusal(sample.kind, object, strict && format !== 'protobuf');
    if (accepted !== (reason === undefined)) problems.push(`the oracle says: ${reason ?? 'acceptable'}`);
  }
  if (accepted && sample.stored) problems.push(...(await checkStored(sample, answer.body.metadata.name, object)));
  if (problems.length === 0) return undefined;
  const sent = format === 'protobuf' ? Buffer.from(body).toString('base64') : Buffer.from(body).toString();
  return `${sample.kind} as ${format}${strict ? ', strict' : ''}${object ? '' : ', damaged'}: ${problems.join('; ')}
  changes: ${changes.join('; ')}
  answer: ${answer.status} ${answer.text}
  body: ${sent}`;
}

/** Compares what is stored with what was sent, then removes it. */
async function checkStored(sample: Sample, name: string, sent: Tree | undefined): Promise<string[]> {
  const path = `${sample.path}/${encodeURIComponent(name)}`;
  const { status, body } = await coffer.call('GET', path);
  const owners = isRecord(sent?.metadata) ? own(sent.metadata, 'ownerReferences') : undefined;
  // An object whose owner does not exist is collected at once.
  if (status !== 200) return owners !== undefined && status === 404 ? [] : [`GET answered ${status}`];
  const missing = sent === undefined ? [] : missingParts(sample.apiVersion, sample.kind, sent, body, rewritten[sample.kind]);
  await coffer.call('DELETE', `${path}?gracePeriodSeconds=0`);
  if ((body.metadata.finalizers?.length ?? 0) > 0) {
    await coffer.call('PATCH', path, { metadata: { finalizers: null } }, { 'content-type': 'application/merge-patch+json' });
  }
  return missing.length > 0 ? [`stored without ${missing.join(', ')}: ${JSON.stringify(body)}`] : [];
}

/** Kinds of the server that can be created by themselves. */
async function kindsToCreate(): Promise<string[]> {
  const { body: groups } = await coffer.call('GET', '/apis');
  const versions = [
    'v1',
    ...groups.groups.flatMap((group: { versions: { groupVersion: string }[] }) => group.versions.map((v) => v.groupVersion)),
  ];
  const kinds = versions.map(async (version: string) => {
    const { body } = await coffer.call('GET', version === 'v1' ? '/api/v1' : `/apis/${version}`);
    const resources: { name: string; kind: string; verbs: string[] }[] = body.resources;
    return resources.filter(({ name, verbs }) => !name.includes('/') && verbs.includes('create')).map(({ kind }) => `${version} ${kind}`);
  });
  return (await Promise.all(kinds)).flat();
}

describe('bad input', () => {
  it('comes for every kind there is', async () => {
    const kinds = await kindsToCreate();
    expect(kinds).toContain('v1 Secret');
    expect(samples.map(({ apiVersion, kind }) => `${apiVersion} ${kind}`).sort()).toEqual(
      kinds.filter((kind) => kind !== 'v1 Binding').sort(),
    );
  });

  it.each(samples.map((sample) => ({ ...sample, name: `${sample.apiVersion} ${sample.kind}` })))(
    `$name: ${bodies} bodies`,
    { timeout: full ? 600_000 : 60_000 },
    async (sample) => {
      const random = seededRandom(seed);
      const problems: string[] = [];
      let left = bodies;
      const worker = async (): Promise<void> => {
        while (left-- > 0 && problems.length < 5) {
          const problem = await check(sample, attempt(random, sample, `x${left}-${Math.floor(random() * 1e9).toString(36)}`));
          if (problem !== undefined) problems.push(problem);
        }
      };
      await Promise.all(Array.from({ length: parallel }, worker));
      heapBefore ??= await coffer.heapBytes();
      expect(problems.join('\n\n'), `seed ${seed}`).toBe('');
    },
  );

  it('leaves the heap as large as it was, but for the objects it stored', async () => {
    const most = 96 * 1024 * 1024;
    // V8 collects when it likes to: every look makes some garbage, and in the end a collection brings the heap down.
    await eventually('a heap as before', async () => (await coffer.heapBytes()) - (heapBefore ?? 0) < most, 90_000);
    console.log(`${samples.length} kinds, ${bodies} bodies each (seed ${seed}; COFFER_SOAK=1 sends 10000)`);
  });
});
