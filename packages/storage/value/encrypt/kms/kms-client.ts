import type { Client } from '@grpc/grpc-js';
import type { Root } from 'protobufjs';
import { kmsProto } from './encrypted-object.ts';

/** The KMS v2 plugin on the other end of a Unix socket. Connects on the first call. */
export interface KmsStatus {
  readonly version: string;
  readonly healthz: string;
  readonly keyId: string;
}

export interface KmsEncrypted {
  readonly ciphertext: Buffer;
  readonly keyId: string;
  readonly annotations: Readonly<Record<string, Uint8Array>>;
}

export interface KmsDecryptRequest {
  readonly ciphertext: Uint8Array;
  readonly keyId: string;
  readonly annotations: Readonly<Record<string, Uint8Array>>;
  readonly uid: string;
}

export class KmsClient {
  readonly #socketPath: string;
  readonly #timeoutMs: number;
  #connected: Promise<{ readonly client: Client; readonly root: Root }> | undefined;
  #closed = false;

  constructor(socketPath: string, timeoutMs: number) {
    this.#socketPath = socketPath;
    this.#timeoutMs = timeoutMs;
  }

  /** The message types, loaded together with the connection. */
  async messages(): Promise<Root> {
    return (await this.#connect()).root;
  }

  status(): Promise<KmsStatus> {
    return this.#call('Status', {});
  }

  encrypt(plaintext: Uint8Array, uid: string): Promise<KmsEncrypted> {
    return this.#call('Encrypt', { plaintext, uid });
  }

  async decrypt(request: KmsDecryptRequest): Promise<Buffer> {
    return (await this.#call<{ plaintext: Buffer }>('Decrypt', request)).plaintext;
  }

  async close(): Promise<void> {
    this.#closed = true;
    (await this.#connected?.catch(() => undefined))?.client.close();
  }

  async #call<T>(method: string, request: object): Promise<T> {
    const { client, root } = await this.#connect();
    const requestType = root.lookupType(`v2.${method}Request`);
    const responseType = root.lookupType(`v2.${method}Response`);
    const serialize = (message: object) => Buffer.from(requestType.encode(requestType.fromObject(message)).finish());
    const deserialize = (bytes: Buffer) => responseType.toObject(responseType.decode(bytes), { defaults: true, objects: true }) as T;
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + this.#timeoutMs;
      client.makeUnaryRequest(`/v2.KeyManagementService/${method}`, serialize, deserialize, request, { deadline }, (error, response) => {
        if (error !== null) reject(error);
        else if (response === undefined) reject(new Error(`no answer to ${method}`));
        else resolve(response);
      });
    });
  }

  #connect(): Promise<{ readonly client: Client; readonly root: Root }> {
    if (this.#closed) return Promise.reject(new Error('the KMS provider is closed'));
    this.#connected ??= (async () => {
      const [grpc, protobuf] = await Promise.all([import('@grpc/grpc-js'), import('protobufjs')]);
      const { root } = protobuf.default.parse(kmsProto);
      root.resolveAll();
      const client = new grpc.Client(`unix:${this.#socketPath}`, grpc.credentials.createInsecure(), {
        'grpc.initial_reconnect_backoff_ms': 100,
        'grpc.max_reconnect_backoff_ms': 2_000,
      });
      return { client, root };
    })();
    return this.#connected;
  }
}
