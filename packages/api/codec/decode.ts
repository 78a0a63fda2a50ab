import { builtInResources } from '../catalog/built-in-resources.ts';
import { badRequest, StatusError, unsupportedMediaType } from '../errors/status-error.ts';
import { apiVersionOf, type GroupVersionKind, type KubeObject } from '../meta/object.ts';
import { decodeEnvelope, decodeMessage } from '../protobuf/decode.ts';
import { ProtobufError } from '../protobuf/reader.ts';
import { type BuiltInSchemaTable, builtInSchemaTable, type GoStructSchema } from '../schema/schema-table.ts';
import { conform, DecodeError, describe } from './conform.ts';
import { countKeys, JsonSyntaxError, measureJson, needsExactStrings, parseJsonExactly } from './json-text.ts';
import { parseYaml, YamlSyntaxError } from './yaml-reader.ts';

/**
 * Bodies of write requests → objects of a built-in kind. Every refusal is a StatusError 400 (415 for an unknown content type) in
 * upstream's words. The result is the caller's own: pruned, type-checked and with canonical scalars, not yet defaulted.
 */
export interface DecodeOptions {
  /** The request's Content-Type; empty means JSON. */
  readonly contentType: string;
  /** What the URL expects; fills in a missing apiVersion and kind. */
  readonly defaultGvk: GroupVersionKind;
  readonly fieldValidation: 'Ignore' | 'Warn' | 'Strict';
  /** Further group versions whose form of the kind is the same and accepted, e.g. `policy/v1beta1`. */
  readonly acceptedApiVersions?: readonly string[];
  readonly table?: BuiltInSchemaTable;
}

export interface DecodedObject {
  readonly object: KubeObject;
  readonly schema: GoStructSchema;
  /** With `Warn`: what `Strict` would have refused, one text per `Warning` header. */
  readonly strictErrors: readonly string[];
}

export type BodyFormat = 'json' | 'yaml' | 'protobuf';

/** The body format of a Content-Type header. Throws 415 for one that is not spoken. */
export function bodyFormat(contentType: string): BodyFormat {
  const mediaType = contentType.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  switch (mediaType) {
    case '':
    case 'application/json':
      return 'json';
    case 'application/yaml':
      return 'yaml';
    case 'application/vnd.kubernetes.protobuf':
      return 'protobuf';
    default:
      throw unsupportedMediaType(
        'the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf',
      );
  }
}

/** Decodes the body of a create or an update. */
export function decodeObject(body: Uint8Array, options: DecodeOptions): DecodedObject {
  const table = options.table ?? builtInSchemaTable();
  const strict = options.fieldValidation !== 'Ignore';
  const opened = openBody(body, bodyFormat(options.contentType), options.defaultGvk.kind, strict);
  const gvk = withDefaults(opened.gvk, options.defaultGvk);
  const refuse = (reason: string): StatusError =>
    badRequest(`${gvk.kind} in version ${JSON.stringify(gvk.version)} cannot be handled as a ${options.defaultGvk.kind}: ${reason}`);

  const apiVersion = apiVersionOf(gvk);
  const isAccepted = gvk.kind === options.defaultGvk.kind && options.acceptedApiVersions?.includes(apiVersion) === true;
  const { group, version, kind } = isAccepted ? options.defaultGvk : gvk;
  const schema = table.kind(group, version, kind);
  if (schema === undefined && !isKnownElsewhere(gvk)) throw refuse(notRegistered(gvk));
  if (schema === undefined || !convertible(gvk, options.defaultGvk)) {
    throw refuse(
      `converting (v1.${gvk.kind}) to (${internalPackage(options.defaultGvk.group)}.${options.defaultGvk.kind}): unknown conversion`,
    );
  }
  const { tree, strictErrors } = readBody(opened, schema, table, strict, refuse);
  if (strictErrors.length > 0 && options.fieldValidation === 'Strict') {
    throw refuse(`strict decoding error: ${strictErrors.join(', ')}`);
  }
  if (apiVersion !== apiVersionOf(options.defaultGvk) && !isAccepted) {
    const expected = apiVersionOf(options.defaultGvk);
    throw badRequest(`the API version in the data (${apiVersion}) does not match the expected API version (${expected})`);
  }
  return { object: asObject(tree, gvk), schema, strictErrors };
}

const metaScheme = 'k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:31';

/** Decodes the body of a delete request: DeleteOptions of any group version. An empty body must not come here. */
export function decodeDeleteOptions(body: Uint8Array, contentType: string, table = builtInSchemaTable()): Record<string, unknown> {
  const format = bodyFormat(contentType);
  try {
    const opened = open(body, format, false);
    const gvk = withDefaults(opened.gvk, { group: 'meta.k8s.io', version: 'v1', kind: 'DeleteOptions' });
    const schema = gvk.kind === 'DeleteOptions' && isServedVersion(gvk) ? table.kind(gvk.group, gvk.version, gvk.kind) : undefined;
    if (schema === undefined) throw untyped(notRegistered(gvk, metaScheme));
    return opened.read(schema, table).tree;
  } catch (error) {
    throw isDecodeFailure(error) ? untyped(error.message, error) : error;
  }
}

/** Upstream gives what is wrong with DeleteOptions to the client as it is, without a reason: its answer is 500. */
function untyped(message: string, cause?: unknown): StatusError {
  return new StatusError(500, '', message, undefined, { cause });
}

function isServedVersion({ group, version }: GroupVersionKind): boolean {
  return (group === 'meta.k8s.io' && version === 'v1') || builtInResources.some((r) => r.group === group && r.version === version);
}

interface TypeInData {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

interface ReadTree {
  readonly tree: Record<string, unknown>;
  readonly strictErrors: readonly string[];
}

/** A body whose type is known and whose content is yet to be read. */
interface OpenedBody {
  readonly gvk: TypeInData;
  read(schema: GoStructSchema, table: BuiltInSchemaTable): ReadTree;
}

/** Finds the type of a body. What fails here leaves the type unknown, which upstream words differently. */
function openBody(body: Uint8Array, format: BodyFormat, expectedKind: string, strict: boolean): OpenedBody {
  try {
    return open(body, format, strict);
  } catch (error) {
    if (!isDecodeFailure(error)) throw error;
    const message = `the object provided is unrecognized (must be of type ${expectedKind}): ${error.message} (${summarize(body)})`;
    throw badRequest(message, { cause: error });
  }
}

function open(body: Uint8Array, format: BodyFormat, strict: boolean): OpenedBody {
  switch (format) {
    case 'json':
      return openJson(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'), strict);
    case 'yaml': {
      const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8');
      return openYaml(text, strict);
    }
    case 'protobuf': {
      const { apiVersion, kind, raw } = decodeEnvelope(body);
      return {
        gvk: { ...splitApiVersion(apiVersion), kind },
        read: (schema, table) => {
          const tree = decodeMessage(raw, schema, table);
          conform(tree, schema, { table, strict: false, mayHoldLiterals: false });
          return { tree, strictErrors: [] };
        },
      };
    }
  }
}

function readBody(
  opened: OpenedBody,
  schema: GoStructSchema,
  table: BuiltInSchemaTable,
  strict: boolean,
  refuse: (reason: string) => StatusError,
): ReadTree {
  try {
    const result = opened.read(schema, table);
    return strict ? result : { tree: result.tree, strictErrors: [] };
  } catch (error) {
    throw isDecodeFailure(error) ? refuse(error.message) : error;
  }
}

function openJson(text: string, strict: boolean): OpenedBody {
  let value: unknown;
  let exact = needsExactStrings(text);
  try {
    if (!exact) {
      value = JSON.parse(text);
      const keys = measureJson(value);
      exact = strict && countKeys(text) !== keys;
    }
  } catch {
    exact = true;
  }
  const sequences = exact ? parseOrExplain(text) : undefined;
  if (sequences !== undefined) value = sequences.value;
  return {
    gvk: typeOf(value),
    read: (schema, table) => readJson(text, value, schema, table, strict, sequences),
  };
}

type Exact = ReturnType<typeof parseJsonExactly>;

function parseOrExplain(text: string): Exact {
  try {
    return parseJsonExactly(text);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw new JsonSyntaxError(`couldn't get version/kind; json parse error: ${error.message}`);
  }
}

/** A number that JSON.parse may have changed in a way Go's integers would show. */
const unusualNumber = /[:[,]\s*-?\d+(?:[.eE]|\d{15})/;

function readJson(
  text: string,
  value: unknown,
  schema: GoStructSchema,
  table: BuiltInSchemaTable,
  strict: boolean,
  exact: Exact | undefined,
): ReadTree {
  const tree = (value ?? {}) as Record<string, unknown>;
  const again = (): ReadTree => {
    const reread = parseJsonExactly(text);
    return readJson(text, reread.value, schema, table, strict, reread);
  };
  try {
    const result = conform(tree, schema, {
      table,
      strict,
      ...(exact === undefined ? { mayHoldLiterals: false } : { sequences: exact.sequences }),
    });
    if (exact === undefined && result.sawExactNumber && unusualNumber.test(text)) return again();
    return { tree, strictErrors: result.strictErrors };
  } catch (error) {
    if (error instanceof DecodeError && exact === undefined && unusualNumber.test(text)) return again();
    throw error;
  }
}

function openYaml(text: string, strict: boolean): OpenedBody {
  const { value, repeatedKeys } = parseYaml(text);
  measureJson(value);
  return {
    gvk: typeOf(value),
    read: (schema, table) => {
      const tree = (value ?? {}) as Record<string, unknown>;
      const { strictErrors } = conform(tree, schema, { table, strict });
      const repeated = repeatedKeys.length === 0 ? [] : [`yaml: unmarshal errors:\n  ${repeatedKeys.join('\n  ')}`];
      return { tree, strictErrors: [...repeated, ...strictErrors] };
    },
  };
}

const typeStruct = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }';

/** apiVersion and kind as the data have them; empty when missing. */
function typeOf(value: unknown): TypeInData {
  if (value === null) return { group: '', version: '', kind: '' };
  const fail = (what: string): never => {
    throw new DecodeError(`couldn't get version/kind; json parse error: json: cannot unmarshal ${what}`);
  };
  if (typeof value !== 'object' || Array.isArray(value) || describe(value) === 'number') {
    return fail(`${describe(value)} into Go value of type ${typeStruct}`);
  }
  const read = (name: 'apiVersion' | 'kind'): string => {
    const key = Object.hasOwn(value, name) ? name : Object.keys(value).find((k) => k.toLowerCase() === name.toLowerCase());
    const found = key === undefined ? null : (value as Record<string, unknown>)[key];
    if (found === null) return '';
    return typeof found === 'string' ? found : fail(`${describe(found)} into Go struct field .${name} of type string`);
  };
  return { ...splitApiVersion(read('apiVersion')), kind: read('kind') };
}

function splitApiVersion(apiVersion: string): { group: string; version: string } {
  if (apiVersion === '' || apiVersion === '/') return { group: '', version: '' };
  const slash = apiVersion.indexOf('/');
  if (slash < 0) return { group: '', version: apiVersion };
  if (apiVersion.includes('/', slash + 1)) throw new DecodeError(`unexpected GroupVersion string: ${apiVersion}`);
  return { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) };
}

function withDefaults(actual: TypeInData, fallback: GroupVersionKind): GroupVersionKind {
  const kind = actual.kind === '' ? fallback.kind : actual.kind;
  if (actual.version === '' && actual.group === '') return { group: fallback.group, version: fallback.version, kind };
  const version = actual.version === '' && actual.group === fallback.group ? fallback.version : actual.version;
  return { group: actual.group, version, kind };
}

/** Objects of both event groups are one internal type; everything else converts to itself only. */
function convertible(from: GroupVersionKind, to: GroupVersionKind): boolean {
  if (from.kind !== to.kind) return false;
  const eventGroups = ['', 'events.k8s.io'];
  return from.group === to.group || (to.kind === 'Event' && eventGroups.includes(from.group) && eventGroups.includes(to.group));
}

function internalPackage(group: string): string {
  if (group === '' || group === 'events.k8s.io') return 'core';
  return group.split('.', 1)[0] ?? group;
}

/** Kinds that upstream knows and this server does not serve: a body of them is a wrong kind, not an unknown one. */
const elsewhere: Readonly<Record<string, string>> = {
  v1: 'List PersistentVolume PersistentVolumeClaim ComponentStatus',
  'apps/v1': 'ControllerRevision DaemonSet StatefulSet',
  'autoscaling/v1': 'HorizontalPodAutoscaler',
  'autoscaling/v2': 'HorizontalPodAutoscaler',
  'batch/v1': 'CronJob Job',
  'networking.k8s.io/v1': 'Ingress IngressClass NetworkPolicy',
  'storage.k8s.io/v1': 'CSIDriver CSINode StorageClass VolumeAttachment',
};

function isKnownElsewhere(gvk: GroupVersionKind): boolean {
  const apiVersion = apiVersionOf(gvk);
  const kind = gvk.kind.endsWith('List') && gvk.kind !== 'List' ? gvk.kind.slice(0, -4) : gvk.kind;
  return Object.hasOwn(elsewhere, apiVersion) && (elsewhere[apiVersion] ?? '').split(' ').includes(kind);
}

function notRegistered(gvk: GroupVersionKind, scheme = 'pkg/api/legacyscheme/scheme.go:30'): string {
  const version = JSON.stringify(apiVersionOf(gvk));
  return `no kind ${JSON.stringify(gvk.kind)} is registered for version ${version} in scheme ${JSON.stringify(scheme)}`;
}

function asObject(tree: Record<string, unknown>, gvk: GroupVersionKind): KubeObject {
  tree.apiVersion = apiVersionOf(gvk);
  tree.kind = gvk.kind;
  tree.metadata ??= {};
  return tree as KubeObject;
}

function isDecodeFailure(error: unknown): error is Error {
  return (
    error instanceof DecodeError || error instanceof JsonSyntaxError || error instanceof YamlSyntaxError || error instanceof ProtobufError
  );
}

const summaryBytes = 30;

/** The start of a body that could not be read: as it is when it looks like JSON, else in hexadecimal. */
function summarize(body: Uint8Array): string {
  if (body.length === 0) return '<empty>';
  const start = Buffer.from(body.subarray(0, summaryBytes));
  const text = body[0] === 0x7b ? start.toString('utf8') : start.toString('hex');
  return body.length > summaryBytes ? `${text} ...` : text;
}
