import type { ChannelCredentials, Client, ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import type { Root } from 'protobufjs';
import { StorageError } from '../../errors.ts';
import { etcdProto, type WatchResponse } from './messages.ts';

/** Calls to one etcd cluster over gRPC: picks an endpoint, goes to the next when one is down, translates errors. */
export interface EtcdEndpoints {
  /** `http://host:port` or `https://host:port`; all members of one cluster. */
  readonly endpoints: readonly string[];
  /** PEM; needed for `https` endpoints with a private CA or client certificates. */
  readonly tls?: { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
}

export type WatchStream = ClientDuplexStream<object, WatchResponse>;
type Grpc = typeof import('@grpc/grpc-js');

const callTimeoutMs = 10_000;
const conversion = { longs: Number, enums: String, defaults: true, arrays: true, oneofs: false };

export async function connectEtcd(options: EtcdEndpoints): Promise<EtcdRpc> {
  if (options.endpoints.length === 0) throw new Error('no etcd endpoint given');
  const [grpc, protobuf] = await Promise.all([import('@grpc/grpc-js'), import('protobufjs')]);
  const { root } = protobuf.default.parse(etcdProto);
  root.resolveAll();
  const clients = options.endpoints.map((endpoint) => {
    const url = new URL(endpoint);
    if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new Error(`the etcd endpoint ${endpoint} is neither http nor https`);
    return new grpc.Client(url.host, url.protocol === 'https:' ? sslCredentials(grpc, options) : grpc.credentials.createInsecure(), {
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 10_000,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 2_000,
    });
  });
  return new EtcdRpc(grpc, root, clients);
}

function sslCredentials(grpc: Grpc, { tls = {} }: EtcdEndpoints): ChannelCredentials {
  return grpc.credentials.createSsl(tls.ca ?? null, tls.key ?? null, tls.cert ?? null);
}

export class EtcdRpc {
  readonly #grpc: Grpc;
  readonly #root: Root;
  readonly #clients: readonly Client[];
  #current = 0;
  #closed = false;
  readonly #running = new Set<Promise<unknown>>();

  constructor(grpc: Grpc, root: Root, clients: readonly Client[]) {
    this.#grpc = grpc;
    this.#root = root;
    this.#clients = clients;
  }

  /** A call that changes nothing: tried on every endpoint before it fails with `unavailable`. */
  read<T>(service: string, method: string, type: string, request: object): Promise<T> {
    return this.#track(this.#retry<T>(service, method, type, request, () => true));
  }

  /** A call that may change something: tried elsewhere only when it certainly was not sent; fails with `uncertain` otherwise. */
  write<T>(service: string, method: string, type: string, request: object): Promise<T> {
    return this.#track(this.#retry<T>(service, method, type, request, notSent));
  }

  /** An open watch stream; the caller reads it, and cancels it with `cancel()`. */
  openWatch(): WatchStream {
    this.#checkOpen();
    const { serialize, deserialize } = this.#codec<WatchResponse>('WatchRequest', 'WatchResponse');
    return this.#client().makeBidiStreamRequest('/etcdserverpb.Watch/Watch', serialize, deserialize);
  }

  /** The next connection goes to another endpoint. */
  nextEndpoint(): void {
    this.#current = (this.#current + 1) % this.#clients.length;
  }

  /** Waits for calls that were sent, then closes the connections. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#running);
    for (const client of this.#clients) client.close();
  }

  #track<T>(call: Promise<T>): Promise<T> {
    this.#running.add(call);
    const done = () => void this.#running.delete(call);
    call.then(done, done);
    return call;
  }

  async #retry<T>(service: string, method: string, type: string, request: object, mayRetry: (error: ServiceError) => boolean): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      this.#checkOpen();
      try {
        return await this.#call<T>(service, method, type, request);
      } catch (error) {
        const failure = error as ServiceError;
        if (failure.code !== this.#grpc.status.UNAVAILABLE || attempt > this.#clients.length || !mayRetry(failure)) {
          throw translateError(failure, this.#grpc, mayRetry === notSent);
        }
        this.nextEndpoint();
      }
    }
  }

  #call<T>(service: string, method: string, type: string, request: object): Promise<T> {
    const { serialize, deserialize } = this.#codec<T>(`${type}Request`, `${type}Response`);
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + callTimeoutMs;
      this.#client().makeUnaryRequest(
        `/etcdserverpb.${service}/${method}`,
        serialize,
        deserialize,
        request,
        { deadline },
        (error, response) => {
          if (error !== null) reject(error);
          else if (response === undefined) reject(new Error(`no answer from etcd to ${method}`));
          else resolve(response);
        },
      );
    });
  }

  #client(): Client {
    const client = this.#clients[this.#current];
    if (client === undefined) throw new Error('no etcd endpoint');
    return client;
  }

  #codec<T>(request: string, response: string) {
    const requestType = this.#root.lookupType(`etcdserverpb.${request}`);
    const responseType = this.#root.lookupType(`etcdserverpb.${response}`);
    return {
      serialize: (message: object) => Buffer.from(requestType.encode(requestType.fromObject(message)).finish()),
      deserialize: (bytes: Buffer) => responseType.toObject(responseType.decode(bytes), conversion) as T,
    };
  }

  #checkOpen(): void {
    if (this.#closed) throw new StorageError('closed', 'the store is closed');
  }
}

/** The connection could not even be made. */
function notSent(error: ServiceError): boolean {
  return error.details.includes('No connection established') || error.details.includes('Name resolution failed');
}

/** gRPC status of etcd → StorageError. */
export function translateError(error: unknown, grpc: { readonly status: Grpc['status'] } | undefined, isWrite: boolean): Error {
  if (error instanceof StorageError || grpc === undefined) return error as Error;
  const { code, details = String(error) } = error as Partial<ServiceError>;
  const { status } = grpc;
  if (details.includes('required revision has been compacted'))
    return new StorageError('compacted', 'the revision has been compacted', { cause: error });
  if (details.includes('required revision is a future revision'))
    return new StorageError('future-revision', 'the revision is not reached yet', { cause: error });
  if (details.includes('request is too large'))
    return new StorageError('value-too-large', 'etcd refuses a request of this size', { cause: error });
  if (code === status.RESOURCE_EXHAUSTED)
    return new StorageError('unavailable', `etcd does not accept writes: ${details}`, { cause: error });
  const uncertain = isWrite && !notSent({ details } as ServiceError);
  if (uncertain) return new StorageError('uncertain', `the outcome of the write is unknown: ${details}`, { cause: error });
  return new StorageError('unavailable', `etcd cannot be reached: ${details}`, { cause: error });
}
