import { type FieldError, formatFieldError, notSupported, required } from '@coffer/api/errors/field-error';
import { badRequest, conflict, StatusError } from '@coffer/api/errors/status-error';
import type { V1Binding } from '@coffer/api/generated/types';
import type { KubeObject } from '@coffer/api/meta/object';
import { isRecord, setOwn } from '@coffer/api/meta/safe-object';
import type { HttpResponse } from '@coffer/base/http/handler';
import { podSpec } from '../../registry/core/pod-strategy.ts';
import { checkStoragePreconditions } from '../../registry/generic/preconditions.ts';
import { ensureNamespace, rfc3339 } from '../../registry/generic/system-metadata.ts';
import type { RequestContext } from '../../request/context.ts';
import { readObject } from '../decode-body.ts';
import { translatingErrors } from '../errors.ts';
import { negotiateWithoutTable } from '../negotiation.ts';
import { parseWriteOptions } from '../options/write-options.ts';
import { respondObject } from '../respond.ts';
import { admissionAttributes, type Scope } from '../scope.ts';

const body = { group: '', version: 'v1', kind: 'Binding' };

/** POST `pods/…/binding` and `bindings`: assigns a pod to a node, once. `urlName` is empty where the URL does not name the pod. */
export async function bindPod(context: RequestContext, scope: Scope, urlName: string): Promise<HttpResponse> {
  const format = negotiateWithoutTable(context.http, context.query);
  const options = parseWriteOptions(context.http, context.query, 'CreateOptions');
  const object = await readObject(context, scope.tools, body, options.fieldValidation);
  ensureNamespace(object, context.info.namespace);
  const binding = object as unknown as V1Binding;
  const name = object.metadata.name ?? '';
  if (urlName !== '' && name !== urlName) throw badRequest('name in URL does not match name in Binding object');
  const subject = { name, object, oldObject: undefined, dryRun: options.dryRun };
  await scope.tools.admission.admit(admissionAttributes(context, scope, 'CREATE', subject));
  const errors = bindingErrors(binding);
  if (errors.length > 0) throw new StatusError(500, '', aggregate(errors));
  await scope.tools.admission.validate(admissionAttributes(context, scope, 'CREATE', subject));
  await assign(context, scope, binding, name, options.dryRun);
  return respondObject(context, 201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }, format);
}

function bindingErrors(binding: V1Binding): FieldError[] {
  const { kind = '', name = '' } = binding.target ?? {};
  const errors: FieldError[] = [];
  if (kind !== '' && kind !== 'Node') errors.push(notSupported('target.kind', kind, ['Node', '<empty>']));
  if (name === '') errors.push(required('target.name'));
  return errors;
}

function aggregate(errors: readonly FieldError[]): string {
  const texts = errors.map(formatFieldError);
  return texts.length === 1 ? (texts[0] ?? '') : `[${texts.join(', ')}]`;
}

async function assign(context: RequestContext, scope: Scope, binding: V1Binding, name: string, dryRun: boolean): Promise<void> {
  const { registry } = scope;
  const { uid, resourceVersion } = binding.metadata ?? {};
  await translatingErrors(registry.gr, name, () =>
    registry.store.guaranteedUpdate(
      context.info.namespace,
      name,
      (current) => {
        if (current === undefined) return { action: 'keep' };
        const pod = registry.servedCopy(current);
        checkStoragePreconditions(
          registry.gr,
          name,
          current.key,
          { uid: uid || undefined, resourceVersion: resourceVersion || undefined },
          pod,
        );
        const problem = assignmentProblem(pod, name);
        if (problem !== undefined) throw conflict({ group: '', resource: 'pods/binding' }, name, problem);
        setNode(pod, binding, rfc3339(scope.tools.clock.now()));
        return { action: 'write', object: registry.canonicalize(pod) };
      },
      { dryRun },
    ),
  );
}

function assignmentProblem(pod: KubeObject, name: string): string | undefined {
  const spec = podSpec(pod);
  if (pod.metadata.deletionTimestamp !== undefined) return `pod ${name} is being deleted, cannot be assigned to a host`;
  if ((spec.nodeName ?? '') !== '') return `pod ${name} is already assigned to node ${JSON.stringify(spec.nodeName)}`;
  if ((spec.schedulingGates ?? []).length > 0) return `pod ${name} has non-empty .spec.schedulingGates`;
  return undefined;
}

function setNode(pod: KubeObject, binding: V1Binding, now: string): void {
  pod.spec = { ...podSpec(pod), nodeName: binding.target.name };
  for (const field of ['annotations', 'labels'] as const) {
    const given = binding.metadata?.[field] ?? {};
    if (Object.keys(given).length === 0) continue;
    const merged: Record<string, string> = { ...pod.metadata[field] };
    for (const key of Object.keys(given)) setOwn(merged, key, given[key] ?? '');
    pod.metadata[field] = merged;
  }
  // Where the pod was expected to go is of no use any more.
  const { nominatedNodeName: _, ...status } = isRecord(pod.status) ? pod.status : {};
  const conditions = (Array.isArray(status.conditions) ? status.conditions : []).filter((c) => c.type !== 'PodScheduled');
  const scheduled = {
    type: 'PodScheduled',
    status: 'True',
    lastTransitionTime: now,
    observedGeneration: pod.metadata.generation,
  };
  pod.status = { ...status, conditions: [...conditions, scheduled] };
}
