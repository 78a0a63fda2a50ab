/** One gRPC connection to a container runtime: calls by name, messages as plain objects. */
import {
  type ChannelCredentials,
  Client,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { criProto } from './cri-proto.ts';

/** 16 MiB of output of execSync and room for the rest. */
const maxMessageBytes = 32 * 1024 * 1024;

/** A message as it is read: absent fields have their defaults, 64 bit numbers are decimal strings, enums are names. */
// biome-ignore lint/suspicious/noExplicitAny: the shape is defined by the protocol text, not by TypeScript.
export type CriMessage = Readonly<Record<string, any>>;

const toObject: protobuf.IConversionOptions = { longs: String, enums: String, bytes: Buffer, defaults: true, arrays: true, objects: true };

interface Call {
  readonly path: string;
  readonly request: protobuf.Type;
  readonly response: protobuf.Type;
}

export class CriChannel {
  readonly #client: Client;
  readonly #root: protobuf.Root;
  readonly #types = new Map<string, protobuf.Type>();

  constructor(target: string, channelCredentials: ChannelCredentials = credentials.createInsecure()) {
    this.#root = protobuf.parse(criProto, { keepCase: false }).root;
    this.#client = new Client(target, channelCredentials, {
      'grpc.max_receive_message_length': maxMessageBytes,
      'grpc.max_send_message_length': maxMessageBytes,
      'grpc.default_authority': 'localhost',
    });
  }

  /** Calls a method of a service. Rejects with the runtime's own message; see `criErrorCode`. */
  call(
    service: 'RuntimeService' | 'ImageService',
    method: string,
    types: readonly [request: string, response: string],
    body: object,
    options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<CriMessage> {
    const call = this.#call(service, method, types);
    const deadline = options.timeoutMs === undefined ? {} : { deadline: Date.now() + options.timeoutMs };
    return new Promise((resolve, reject) => {
      const running = this.#client.makeUnaryRequest(
        call.path,
        (message: object) => Buffer.from(call.request.encode(call.request.fromObject(message)).finish()),
        (bytes: Buffer) => call.response.toObject(call.response.decode(bytes), toObject),
        body,
        new Metadata(),
        deadline,
        (error: ServiceError | null, answer?: CriMessage) => {
          if (error) reject(new CriError(method, error));
          else resolve(answer ?? {});
        },
      );
      options.signal?.addEventListener('abort', () => running.cancel(), { once: true });
    });
  }

  /** Calls a method that answers with a stream. */
  stream(method: string, types: readonly [request: string, response: string], body: object): ClientReadableStream<CriMessage> {
    const call = this.#call('RuntimeService', method, types);
    return this.#client.makeServerStreamRequest(
      call.path,
      (message: object) => Buffer.from(call.request.encode(call.request.fromObject(message)).finish()),
      (bytes: Buffer) => call.response.toObject(call.response.decode(bytes), toObject),
      body,
    );
  }

  close(): void {
    this.#client.close();
  }

  #call(service: string, method: string, [request, response]: readonly [string, string]): Call {
    return { path: `/runtime.v1.${service}/${method}`, request: this.#type(request), response: this.#type(response) };
  }

  #type(name: string): protobuf.Type {
    let type = this.#types.get(name);
    if (!type) {
      type = this.#root.lookupType(`runtime.v1.${name}`);
      this.#types.set(name, type);
    }
    return type;
  }
}

/** A call that the runtime has refused or that did not reach it. The message is the runtime's. */
export class CriError extends Error {
  readonly method: string;
  readonly code: status;

  constructor(method: string, cause: ServiceError) {
    super(cause.details || cause.message, { cause });
    this.name = 'CriError';
    this.method = method;
    this.code = cause.code;
  }

  /** As a Go client prints it, which is how it shows in events. */
  get rpcText(): string {
    return `rpc error: code = ${codeName(this.code)} desc = ${this.message}`;
  }

  get unknown(): boolean {
    return this.code === status.UNKNOWN;
  }

  get notFound(): boolean {
    return this.code === status.NOT_FOUND;
  }

  get unimplemented(): boolean {
    return this.code === status.UNIMPLEMENTED;
  }

  get deadlineExceeded(): boolean {
    return this.code === status.DEADLINE_EXCEEDED;
  }
}

/** `NOT_FOUND` → `NotFound`; one of them has another spelling there. */
function codeName(code: status): string {
  if (code === status.CANCELLED) return 'Canceled';
  return (status[code] ?? 'Unknown').toLowerCase().replace(/(?:^|_)([a-z])/g, (_match, letter: string) => letter.toUpperCase());
}
