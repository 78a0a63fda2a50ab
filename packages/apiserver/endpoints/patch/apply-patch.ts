import { conform, DecodeError } from '@coffer/api/codec/conform';
import { decodeObject } from '@coffer/api/codec/decode';
import { type FieldError, formatFieldError, invalid } from '@coffer/api/errors/field-error';
import { badRequest, notFound, StatusError } from '@coffer/api/errors/status-error';
import { apply } from '@coffer/api/managedfields/apply';
import type { FieldSet } from '@coffer/api/managedfields/field-set';
import type { ConvertObject } from '@coffer/api/managedfields/ownership';
import { apiVersionOf, type GroupResource, type KubeObject, parseApiVersion } from '@coffer/api/meta/object';
import { isRecord } from '@coffer/api/meta/safe-object';
import { formatGoValue } from '@coffer/api/patch/go-format';
import { applyJsonPatch } from '@coffer/api/patch/json-patch';
import { applyMergePatch } from '@coffer/api/patch/merge-patch';
import { applyStrategicMergePatch } from '@coffer/api/patch/strategic-merge-patch';
import type { BuiltInSchemaTable, GoStructSchema } from '@coffer/api/schema/schema-table';
import type { WarningList } from '../../request/context.ts';
import type { PatchOptions } from '../options/write-options.ts';
import type { BodyKind } from '../scope.ts';
import { addStrictWarnings } from '../strict-warnings.ts';
import { patchedText } from './patched-text.ts';
import type { Patch } from './read-patch.ts';

/** What a patch is applied to, and in whose name. */
export interface PatchTarget {
  readonly body: BodyKind;
  readonly schema: GoStructSchema;
  readonly table: BuiltInSchemaTable;
  readonly gr: GroupResource;
  readonly name: string;
  readonly subresource: string;
  readonly now: string;
  readonly resetFields: FieldSet | undefined;
  readonly convert?: ConvertObject;
  readonly warnings: WarningList;
}

export interface Patched {
  /** Conforms to the schema; not defaulted. The caller's own. */
  readonly object: KubeObject;
  /** The object's managedFields are final: server-side apply has decided them. */
  readonly fieldsTracked: boolean;
}

/** One patch of any type on the live object, which is not changed. Throws StatusError as upstream does for each type. */
export function applyPatch(live: KubeObject | undefined, patch: Patch, options: PatchOptions, target: PatchTarget): Patched {
  if (patch.type === 'apply') return { object: serverSideApply(live, patch, options, target), fieldsTracked: true };
  if (live === undefined) throw notFound(target.gr, target.name);
  return { object: checked(changed(live, patch, target), live, patch, options, target), fieldsTracked: false };
}

function changed(live: KubeObject, patch: Exclude<Patch, { type: 'apply' }>, target: PatchTarget): KubeObject {
  switch (patch.type) {
    case 'json':
      return applyJsonPatch(live, patch.patch);
    case 'merge':
      return applyMergePatch(live, patch.patch);
    case 'strategic':
      return applyStrategicMergePatch(live, patch.patch, target.schema, target.table);
  }
}

/** The patched tree as an object of the kind: pruned and type-checked. */
function checked(tree: unknown, live: KubeObject, patch: Patch, options: PatchOptions, target: PatchTarget): KubeObject {
  const refuse = (why: string): StatusError => invalidPatch(describePatched(tree, live, patch, target), why);
  if (typeof tree !== 'object' || tree === null || Array.isArray(tree)) throw refuse('the patched document is not an object');
  const object = tree as KubeObject;
  // A strategic merge patch ends in a struct of the kind, whatever the patch says the kind is.
  const patched = patch.type === 'strategic';
  if (!patched && (object.kind !== target.body.kind || object.apiVersion !== apiVersionOf(target.body))) {
    throw refuse(otherKind(object, target));
  }
  const strict = options.fieldValidation !== 'Ignore';
  let strictErrors: readonly string[];
  try {
    strictErrors = conform(object, target.schema, { table: target.table, strict, patched }).strictErrors;
  } catch (error) {
    if (error instanceof DecodeError) throw refuse(error.message);
    throw error;
  }
  object.metadata ??= {};
  if (patched) {
    object.kind = target.body.kind;
    object.apiVersion = apiVersionOf(target.body);
  }
  const all = strict ? [...patch.strictErrors, ...strictErrors] : [];
  if (all.length > 0) {
    if (options.fieldValidation === 'Strict') throw refuse(`strict decoding error: ${all.join(', ')}`);
    addStrictWarnings(target.warnings, all);
  }
  return object;
}

/** A patch that changes kind or apiVersion: what decoding the result says about it. */
function otherKind(tree: KubeObject, target: PatchTarget): string {
  const text = JSON.stringify(tree);
  if (typeof tree.kind !== 'string' || tree.kind === '') return `Object 'Kind' is missing in '${text}'`;
  if (typeof tree.apiVersion !== 'string' || tree.apiVersion === '') return `Object 'apiVersion' is missing in '${text}'`;
  const own = { ...parseApiVersion(tree.apiVersion), kind: tree.kind };
  try {
    decodeObject(Buffer.from(text), { contentType: 'application/json', defaultGvk: own, fieldValidation: 'Ignore', table: target.table });
  } catch (error) {
    if (error instanceof StatusError) return error.message.replace(/^.*? cannot be handled as a \w+: /, '');
    throw error;
  }
  return `converting (${own.version}.${own.kind}) to (${internalPackage(target.body.group)}.${target.body.kind}): unknown conversion`;
}

/** Go's package of the internal types of a group. */
function internalPackage(group: string): string {
  return group === '' || group === 'events.k8s.io' ? 'core' : (group.split('.')[0] ?? group);
}

function describePatched(tree: unknown, live: KubeObject, patch: Patch, target: PatchTarget): string {
  return patch.type === 'strategic' ? formatGoValue(patch.patch) : patchedText(tree, live, patch, target);
}

/** 422 about the patch as a whole: it names no kind and no object. */
function invalidPatch(value: string, why: string): StatusError {
  const error: FieldError = invalid('patch', value, why);
  return new StatusError(422, 'Invalid', ` "" is invalid: ${formatFieldError(error)}`, {
    causes: [{ reason: error.reason, message: error.message, field: error.field }],
  });
}

function serverSideApply(live: KubeObject | undefined, patch: Patch, options: PatchOptions, target: PatchTarget): KubeObject {
  const { object } = apply({
    live,
    applied: patch.patch,
    kind: target.body.kind,
    apiVersion: apiVersionOf(target.body),
    manager: options.fieldManager,
    force: options.force,
    subresource: target.subresource,
    now: target.now,
    schema: target.schema,
    table: target.table,
    resetFields: target.resetFields,
    convert: target.convert,
  });
  if (patch.strictErrors.length > 0 && options.fieldValidation !== 'Ignore') {
    if (options.fieldValidation === 'Strict') throw badRequest(`error strict decoding YAML: ${patch.strictErrors.join(', ')}`);
    addStrictWarnings(target.warnings, patch.strictErrors);
  }
  try {
    conform(object, target.schema, { table: target.table, strict: false, patched: true });
  } catch (error) {
    if (error instanceof DecodeError) throw cannotConvert(patch.patch, error, target);
    throw error;
  }
  object.metadata ??= {};
  return object;
}

/** The applied configuration fits the merge schema, but not the types of the kind. */
function cannotConvert(applied: unknown, error: DecodeError, target: PatchTarget): StatusError {
  const { metadata } = isRecord(applied) ? applied : {};
  const { namespace = '', name = '' } = isRecord(metadata) ? metadata : {};
  const gvk = `${target.body.group}/${target.body.version}, Kind=${target.body.kind}`;
  const text = `failed to convert new object (${String(namespace)}/${String(name)}; ${gvk}) to proper version: unable to convert unstructured object to ${gvk}: ${error.message}`;
  return new StatusError(500, '', text, undefined, { cause: error });
}
