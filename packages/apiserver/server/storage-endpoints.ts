import { StatusError } from '@coffer/api/errors/status-error';
import type { HttpResponse, StreamSink } from '@coffer/base/http/handler';
import { errorResponse } from '../endpoints/errors.ts';
import type { RequestContext } from '../request/context.ts';
import type { NonResourceEndpoint } from './non-resource-endpoints.ts';

/**
 * Coffer's own endpoints for whoever operates the store. They are no resources: RBAC allows them by path and method
 * (`nonResourceURLs: ["/coffer/v1/*"]`, verbs `get` and `post`), which cluster-admin has.
 *
 *   GET  /coffer/v1/encryption          objects per resource by provider and key, warnings, the rotation
 *   POST /coffer/v1/encryption/rotate   begins a rotation or goes on with one (`?rate=` writes per second)
 *   GET  /coffer/v1/encryption/rotate   how far it is; cheap, whatever the store holds
 *   POST /coffer/v1/encryption/verify   searches the store's files for values in the clear
 *   GET  /coffer/v1/backup              a consistent copy of the store, still encrypted
 */
export interface StorageAdmin {
  status(): Promise<unknown>;
  /** Throws an Error with the reason when no rotation can begin. */
  rotate(rate: number): Promise<unknown>;
  /** What the running or the last rotation of this process has done; undefined when there was none. */
  rotation(): unknown;
  verify(): Promise<unknown>;
  /**
   * Writes the copy piece by piece; an error in between ends the answer early, which its reader can tell. Absent where the store
   * is not this server's own.
   */
  readonly backup?: (write: (chunk: Uint8Array) => Promise<void>) => Promise<void>;
}

const root = '/coffer/v1/';
const defaultRate = 200;
const maxRate = 100_000;

export function storageEndpoints(admin: StorageAdmin): NonResourceEndpoint {
  return async (context) => {
    if (!context.info.path.startsWith(root)) return undefined;
    const { method } = context.http;
    switch (context.info.path.slice(root.length)) {
      case 'encryption':
        return method === 'GET' ? json(200, await admin.status()) : wrongMethod(context, 'GET');
      case 'encryption/rotate':
        if (method === 'GET') return json(200, { rotation: admin.rotation() });
        return method === 'POST' ? rotate(admin, context) : wrongMethod(context, 'POST');
      case 'encryption/verify':
        return method === 'POST' ? stream('application/json', (sink) => writeJson(sink, admin.verify())) : wrongMethod(context, 'POST');
      case 'backup':
        return method === 'GET' ? backup(admin, context) : wrongMethod(context, 'GET');
      default:
        return undefined;
    }
  };
}

async function rotate(admin: StorageAdmin, context: RequestContext): Promise<HttpResponse> {
  const text = context.query.get('rate');
  const rate = text === null ? defaultRate : Number(text);
  if (!Number.isInteger(rate) || rate < 1 || rate > maxRate) {
    return refuse(context, 400, 'BadRequest', `rate must be a whole number from 1 to ${maxRate}`);
  }
  try {
    return json(202, await admin.rotate(rate));
  } catch (error) {
    return refuse(context, 409, 'Conflict', error instanceof Error ? error.message : String(error));
  }
}

function backup(admin: StorageAdmin, context: RequestContext): HttpResponse {
  const write = admin.backup;
  if (write === undefined) return refuse(context, 501, 'NotImplemented', 'only a server with the embedded store (lmdb) makes backups');
  return stream('application/octet-stream', (sink) => write((chunk) => writeAll(sink, chunk)));
}

function wrongMethod(context: RequestContext, allowed: string): HttpResponse {
  return refuse(context, 405, 'MethodNotAllowed', `this path takes ${allowed} only`);
}

function refuse(context: RequestContext, code: number, reason: string, message: string): HttpResponse {
  return errorResponse(new StatusError(code, reason, message), context);
}

function json(status: number, body: unknown): HttpResponse {
  return { kind: 'full', status, headers: { 'content-type': 'application/json' }, body: `${JSON.stringify(body)}\n` };
}

/** The headers go out at once, so that the request time-out does not count what takes long. */
function stream(contentType: string, run: (sink: StreamSink) => Promise<void>): HttpResponse {
  return {
    kind: 'stream',
    status: 200,
    headers: { 'content-type': contentType },
    run: async (sink) => {
      sink.flush();
      await run(sink);
    },
  };
}

async function writeJson(sink: StreamSink, result: Promise<unknown>): Promise<void> {
  await writeAll(sink, Buffer.from(`${JSON.stringify(await result)}\n`));
}

async function writeAll(sink: StreamSink, chunk: Uint8Array): Promise<void> {
  sink.signal.throwIfAborted();
  if (!sink.write(chunk)) await sink.drained();
}
