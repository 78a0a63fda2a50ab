import { canonicalize } from '@coffer/api/codec/canonicalize';
import { type FieldError, invalid } from '@coffer/api/errors/field-error';
import { conflict, invalidObject, notFound } from '@coffer/api/errors/status-error';
import type { V1LabelSelector } from '@coffer/api/generated/types';
import { scaleTable } from '@coffer/api/kinds/autoscaling/scale-table';
import { trackUpdate } from '@coffer/api/managedfields/manager';
import { parentEntriesAfterScale, scaleEntries } from '@coffer/api/managedfields/scale';
import type { KubeObject } from '@coffer/api/meta/object';
import { cloneJson, isRecord } from '@coffer/api/meta/safe-object';
import type { GoStructSchema } from '@coffer/api/schema/schema-table';
import { fromLabelSelector, fromLabels } from '@coffer/api/selectors/labels';
import type { HttpResponse } from '@coffer/base/http/handler';
import { updateObject } from '../../registry/generic/update.ts';
import type { RequestContext } from '../../request/context.ts';
import { checkName } from '../check-name.ts';
import { readObject } from '../decode-body.ts';
import type { SubresourceHandler } from '../dispatch.ts';
import { waitUntilFresh } from '../freshness.ts';
import { genericStatus } from '../generic-status.ts';
import { contentTypeOf, negotiateOutput, type OutputFormat } from '../negotiation.ts';
import { parseWriteOptions, type WriteOptions } from '../options/write-options.ts';
import { applyPatch } from '../patch/apply-patch.ts';
import { patchTypeOf } from '../patch/read-patch.ts';
import { respondShown } from '../represent.ts';
import { admissionAttributes, type Scope, writeContextOf } from '../scope.ts';
import { readPatchRequest } from '../verbs/patch.ts';

const scaleKind = { group: 'autoscaling', version: 'v1', kind: 'Scale' };
const scaleApiVersion = 'autoscaling/v1';
const schemaName = 'io.k8s.api.autoscaling.v1.Scale';

/** What a request makes of the current Scale; managedFields of the result are final when `fieldsTracked`. */
type ScaleChange = (current: KubeObject) => { readonly object: KubeObject; readonly fieldsTracked: boolean };

/** `…/scale` of everything that has replicas: its `spec.replicas` as an autoscaling/v1 Scale. */
export function scaleHandlers(scope: Scope): Readonly<Record<string, SubresourceHandler>> {
  const schema = scope.tools.table.struct(schemaName);
  return {
    get: (context, own) => getScale(context, own, schema),
    update: (context, own) => putScale(context, own, schema),
    patch: (context, own) => patchScale(context, own, schema),
  };
}

async function getScale(context: RequestContext, scope: Scope, schema: GoStructSchema): Promise<HttpResponse> {
  const format = negotiateOutput(context.http, context.query);
  await waitUntilFresh(scope.registry.store, 'latest');
  const stored = scope.registry.store.get(context.info.namespace, context.info.name);
  if (stored === undefined) throw notFound(scaleResource(scope), context.info.name);
  return respondScale(context, scope, scaleOf(scope, scope.registry.served(stored), schema), format);
}

async function putScale(context: RequestContext, scope: Scope, schema: GoStructSchema): Promise<HttpResponse> {
  const format = negotiateOutput(context.http, context.query);
  const options = parseWriteOptions(context.http, context.query, 'UpdateOptions');
  const body = await readObject(context, scope.tools, scaleKind, options.fieldValidation);
  checkName(body, context.info.name, context.info.namespace);
  const scale = await writeScale(context, scope, schema, options, () => ({ object: cloneJson(body), fieldsTracked: false }));
  return respondScale(context, scope, scale, format);
}

async function patchScale(context: RequestContext, scope: Scope, schema: GoStructSchema): Promise<HttpResponse> {
  if (patchTypeOf(contentTypeOf(context.http)) === undefined) throw genericStatus(415, '415: Unsupported Media Type');
  const format = negotiateOutput(context.http, context.query);
  const request = await readPatchRequest(context);
  const write = writeContextOf(context, scope, request.options.dryRun);
  const scale = await writeScale(context, scope, schema, request.options, (current) => {
    const patched = applyPatch(current, request.patch(), request.options, {
      body: scaleKind,
      schema,
      table: scope.tools.table,
      gr: scope.registry.gr,
      name: context.info.name,
      subresource: 'scale',
      now: write.now,
      resetFields: undefined,
      // A scale has one version.
      convert: (object, apiVersion) => (apiVersion === `${scaleKind.group}/${scaleKind.version}` ? { object, schema } : undefined),
      warnings: context.warnings,
    });
    checkName(patched.object, context.info.name, context.info.namespace);
    return patched;
  });
  return respondScale(context, scope, scale, format);
}

function respondScale(context: RequestContext, scope: Scope, scale: KubeObject, format: OutputFormat): Promise<HttpResponse> {
  return respondShown(context, 200, scale, format, { table: scaleTable, goType: '*autoscaling.Scale' }, scope.tools.clock.now());
}

/** Changes the parent as the changed Scale says, in one read-modify-write of the parent. */
async function writeScale(
  context: RequestContext,
  scope: Scope,
  schema: GoStructSchema,
  options: WriteOptions,
  change: ScaleChange,
): Promise<KubeObject> {
  const { registry, tools } = scope;
  const { namespace, name } = context.info;
  const write = writeContextOf(context, scope, options.dryRun);
  const outcome = await updateObject(registry, {
    namespace,
    name,
    rules: registry.mainRules,
    context: write,
    warnings: context.warnings,
    change: async (parent) => {
      if (parent === undefined) throw notFound(scaleResource(scope), name);
      const live = scaleOf(scope, parent, schema);
      const { object, fieldsTracked } = change(live);
      const scale = canonicalize(object, schema, tools.table);
      await tools.admission.admit(
        admissionAttributes(context, scope, 'UPDATE', { name, object: scale, oldObject: live, dryRun: options.dryRun }),
      );
      checkScale(scope, scale, live, name);
      if (!fieldsTracked) {
        const entries = trackUpdate({
          live,
          next: scale,
          manager: options.fieldManager,
          apiVersion: scaleApiVersion,
          subresource: 'scale',
          now: write.now,
          schema,
          table: tools.table,
        });
        scale.metadata.managedFields = entries;
      }
      return withScale(scope, parent, scale);
    },
    validateCreate: () => {},
    validateUpdate: (object, old) =>
      tools.admission.validate(
        admissionAttributes(context, scope, 'UPDATE', {
          name,
          object: scaleOf(scope, object, schema),
          oldObject: scaleOf(scope, old, schema),
          dryRun: options.dryRun,
        }),
      ),
  });
  return scaleOf(scope, registry.served(outcome.object), schema);
}

function checkScale(scope: Scope, scale: KubeObject, live: KubeObject, name: string): void {
  const { uid, resourceVersion } = scale.metadata;
  if (uid !== undefined && uid !== '' && uid !== live.metadata.uid) {
    throw conflict(
      scope.registry.gr,
      name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${live.metadata.uid ?? ''}`,
    );
  }
  if (resourceVersion !== undefined && resourceVersion !== '' && resourceVersion !== live.metadata.resourceVersion) {
    throw conflict(scope.registry.gr, name);
  }
  const replicas = replicasOf(scale);
  const errors: FieldError[] = replicas < 0 ? [invalid('spec.replicas', replicas, 'must be greater than or equal to 0')] : [];
  if (errors.length > 0) throw invalidObject({ group: scaleKind.group, kind: scaleKind.kind }, name, errors);
}

/** A copy of the parent with the Scale's replicas, owned by whoever owns them in the Scale. */
function withScale(scope: Scope, parent: KubeObject, scale: KubeObject): KubeObject {
  const object = cloneJson(parent);
  object.spec = { ...(isRecord(object.spec) ? object.spec : {}), replicas: replicasOf(scale) };
  const entries = parentEntriesAfterScale(parent.metadata.managedFields, scale.metadata.managedFields, scope.apiVersion);
  if (entries.length > 0) object.metadata.managedFields = entries;
  return object;
}

function scaleOf(scope: Scope, parent: KubeObject, schema: GoStructSchema): KubeObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp, managedFields } = parent.metadata;
  const spec = isRecord(parent.spec) ? parent.spec : {};
  const status = isRecord(parent.status) ? parent.status : {};
  const entries = scaleEntries(managedFields);
  const scale = {
    kind: scaleKind.kind,
    apiVersion: scaleApiVersion,
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp, ...(entries.length > 0 ? { managedFields: entries } : {}) },
    spec: { replicas: spec.replicas ?? 0 },
    status: { replicas: status.replicas ?? 0, selector: selectorText(scope, spec.selector) },
  };
  return canonicalize(scale as unknown as KubeObject, schema, scope.tools.table);
}

/** The selector as text; that of a ReplicationController is a map of labels. */
function selectorText(scope: Scope, selector: unknown): string {
  const isMap = scope.resource.group === '' && scope.resource.resource === 'replicationcontrollers';
  const parsed = isMap
    ? fromLabels((selector ?? {}) as Record<string, string>)
    : fromLabelSelector(selector as V1LabelSelector | undefined);
  return parsed.toString();
}

function replicasOf(scale: KubeObject): number {
  const { replicas } = isRecord(scale.spec) ? scale.spec : {};
  return typeof replicas === 'number' ? replicas : 0;
}

function scaleResource(scope: Scope) {
  return { group: scope.resource.group, resource: `${scope.resource.resource}/scale` };
}
