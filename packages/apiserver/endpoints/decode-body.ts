import { bodyFormat, decodeObject } from '@coffer/api/codec/decode';
import type { KubeObject } from '@coffer/api/meta/object';
import { auditRequestObject } from '../audit/request-object.ts';
import type { RequestContext } from '../request/context.ts';
import { headerText } from './negotiation.ts';
import type { WriteOptions } from './options/write-options.ts';
import type { BodyKind, EndpointTools } from './scope.ts';
import { addStrictWarnings } from './strict-warnings.ts';

/** As kube-apiserver's `--max-request-bytes` default. */
export const maxBodyBytes = 3 * 1024 * 1024;

/** Reads and decodes the body as an object of that kind; `complete` makes what audit shows of it. Throws StatusError 400, 413 or 415. */
export async function readObject(
  context: RequestContext,
  tools: EndpointTools,
  expected: BodyKind,
  fieldValidation: WriteOptions['fieldValidation'],
  complete?: (object: KubeObject) => KubeObject,
): Promise<KubeObject> {
  const contentType = headerText(context.http, 'content-type');
  bodyFormat(contentType);
  const body = await context.http.readBody(maxBodyBytes);
  const { object, strictErrors } = decodeObject(body, {
    contentType,
    defaultGvk: expected,
    fieldValidation,
    table: tools.table,
    ...(expected.acceptedApiVersions === undefined ? {} : { acceptedApiVersions: expected.acceptedApiVersions }),
  });
  addStrictWarnings(context.warnings, strictErrors);
  auditRequestObject(context, object, complete);
  return object;
}
