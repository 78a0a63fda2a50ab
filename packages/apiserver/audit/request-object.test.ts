import type { KubeObject } from '@coffer/api/meta/object';
import { describe, expect, it } from 'vitest';
import type { RequestContext } from '../request/context.ts';
import type { AuditLevel } from './policy.ts';
import { auditDeleteOptions, auditPatch, auditRequestObject } from './request-object.ts';

const audited = (auditLevel?: AuditLevel) => (auditLevel === undefined ? {} : { auditLevel }) as RequestContext;
const pod = (): KubeObject => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', uid: 'u', resourceVersion: '7' }, spec: {} });
const complete = (copy: KubeObject): KubeObject => Object.assign(copy, { spec: { restartPolicy: 'Always' } });

describe('auditRequestObject', () => {
  it('names the object at every level and shows it, with its defaults, where bodies are wanted', () => {
    const object = pod();
    const [metadata, request] = [audited('Metadata'), audited('Request')];
    auditRequestObject(metadata, object, complete);
    auditRequestObject(request, object, complete);
    const requestReference = { namespace: '', name: 'p', uid: 'u', resourceVersion: '7' };
    expect(metadata).toEqual({ auditLevel: 'Metadata', requestReference });
    expect(request).toMatchObject({ requestReference });
    expect(JSON.parse(String(request.requestObject))).toEqual({ ...pod(), spec: { restartPolicy: 'Always' } });
    expect(object).toEqual(pod());
  });

  it('does nothing for a request that is not audited', () => {
    const context = audited();
    auditRequestObject(context, pod(), complete);
    auditDeleteOptions(context, {});
    auditPatch(context, Buffer.from('{}'));
    expect(context).toEqual({});
  });
});

it('shows options of a deletion with their kind', () => {
  const context = audited('RequestResponse');
  auditDeleteOptions(context, { propagationPolicy: 'Background' });
  expect(JSON.parse(String(context.requestObject))).toEqual({
    kind: 'DeleteOptions',
    apiVersion: 'meta.k8s.io/v1',
    propagationPolicy: 'Background',
  });
});
