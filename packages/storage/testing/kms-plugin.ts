import { Server, ServerCredentials } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { kmsProto } from '../value/encrypt/kms/encrypted-object.ts';

/** A KMS v2 plugin: a real gRPC server over a Unix socket that protects seeds by turning their bytes over. */
export class TestKmsPlugin {
  readonly calls: string[] = [];
  readonly socket: string;
  keyId = 'key-1';
  healthz = 'ok';
  version = 'v2';
  failing = false;
  delayMs = 0;
  /** A plugin that lies: its Status is well and names `keyId`, but it encrypts with another key. */
  encryptKeyId: string | undefined;
  #server: Server | undefined;

  constructor(socket: string) {
    this.socket = socket;
  }

  async start(): Promise<void> {
    const { root } = protobuf.parse(kmsProto);
    const server = new Server();
    const inverted = (bytes: unknown) => Buffer.from((bytes as Buffer).map((byte) => byte ^ 0xff));
    this.#define(server, root, 'Status', () => ({ version: this.version, healthz: this.healthz, keyId: this.keyId }));
    this.#define(server, root, 'Encrypt', ({ plaintext }) => ({
      ciphertext: inverted(plaintext),
      keyId: this.encryptKeyId ?? this.keyId,
      annotations: { 'version.example.com': Buffer.from('1') },
    }));
    this.#define(server, root, 'Decrypt', ({ ciphertext }) => ({ plaintext: inverted(ciphertext) }));
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(`unix:${this.socket}`, ServerCredentials.createInsecure(), (error) => (error === null ? resolve() : reject(error))),
    );
    this.#server = server;
  }

  stop(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
  }

  #define(server: Server, root: protobuf.Root, method: string, handle: (request: Record<string, unknown>) => object): void {
    const request = root.lookupType(`v2.${method}Request`);
    const response = root.lookupType(`v2.${method}Response`);
    const definition = {
      path: `/v2.KeyManagementService/${method}`,
      requestStream: false,
      responseStream: false,
      requestSerialize: (message: object) => Buffer.from(request.encode(message).finish()),
      requestDeserialize: (bytes: Buffer) => request.toObject(request.decode(bytes), { defaults: true, objects: true }),
      responseSerialize: (message: object) => Buffer.from(response.encode(response.fromObject(message)).finish()),
      responseDeserialize: (bytes: Buffer) => response.decode(bytes),
    };
    const implementation = (call: { request: Record<string, unknown> }, callback: (error: Error | null, answer?: object) => void) => {
      this.calls.push(method);
      const reply = () => (this.failing ? callback(new Error('the key store does not answer')) : callback(null, handle(call.request)));
      if (this.delayMs === 0) reply();
      else setTimeout(reply, this.delayMs);
    };
    server.addService({ [method]: definition } as never, { [method]: implementation } as never);
  }
}
