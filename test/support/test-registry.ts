/** A private image registry with a password: Debian's docker-registry on the loopback interface, filled by the tests themselves. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { unpackDebianPackages } from './debian-packages.ts';
import { digest, type ImageConfig, type LayerEntry, ociBlobs } from './oci-image.ts';

/** Who may pull and push. */
export const registryUser = { username: 'tester', password: 'opensesame' } as const;
// bcrypt of that password: the only kind of entry the registry takes.
const passwordFile = 'tester:$2b$05$abcdefghijklmnopqrstuuQbLfdQZSxZ9gjhA5V9o8Tyc6aQRO0Qi\n';

export class TestRegistry {
  /** `host:port`, as it stands in image names. */
  readonly address: string;
  readonly #process: ChildProcess;
  readonly #directory: string;

  private constructor(address: string, process_: ChildProcess, directory: string) {
    this.address = address;
    this.#process = process_;
    this.#directory = directory;
  }

  /** A port for a registry that is started later, e.g. because a container engine must know it before. */
  static freePort(): Promise<number> {
    return new Promise((resolve, reject) => {
      const server = createServer();
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => {
        const address = server.address();
        server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
      });
    });
  }

  /** With a password unless told otherwise. */
  static async start(port: number, options: { readonly password?: boolean } = {}): Promise<TestRegistry> {
    const tools = await unpackDebianPackages('docker-registry', ['docker-registry']);
    const directory = await mkdtemp('/tmp/registry-');
    await writeFile(join(directory, 'htpasswd'), passwordFile);
    await writeFile(
      join(directory, 'config.yml'),
      `version: 0.1
log: { level: error }
storage: { filesystem: { rootdirectory: ${directory}/data } }
http: { addr: "127.0.0.1:${port}" }
${options.password === false ? '' : `auth: { htpasswd: { realm: test, path: ${directory}/htpasswd } }\n`}`,
    );
    const child = spawn(join(tools, 'usr/bin/docker-registry'), ['serve', join(directory, 'config.yml')], { stdio: 'ignore' });
    const registry = new TestRegistry(`127.0.0.1:${port}`, child, directory);
    for (let tries = 0; ; tries++) {
      const answered = await fetch(`http://${registry.address}/v2/`).then(
        () => true,
        () => false,
      );
      if (answered) return registry;
      if (tries > 200) throw new Error('the registry did not start');
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }

  /** Stores an image under `name:tag`; resolves to its complete reference. */
  async push(name: string, tag: string, config: Omit<ImageConfig, 'reference'>, entries: readonly LayerEntry[]): Promise<string> {
    const reference = `${this.address}/${name}:${tag}`;
    const { layer, image, manifest } = ociBlobs({ ...config, reference }, entries);
    for (const blob of [layer, image]) {
      const started = await this.#request('POST', `/v2/${name}/blobs/uploads/`, 202);
      const location = new URL(started.headers.get('location') ?? '', `http://${this.address}`);
      location.searchParams.set('digest', `sha256:${digest(blob)}`);
      await this.#request('PUT', `${location.pathname}${location.search}`, 201, blob, 'application/octet-stream');
    }
    await this.#request('PUT', `/v2/${name}/manifests/${tag}`, 201, manifest, 'application/vnd.oci.image.manifest.v1+json');
    return reference;
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGTERM');
    await ended;
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #request(method: string, path: string, expected: number, body?: Buffer, type?: string): Promise<Response> {
    const authorization = `Basic ${Buffer.from(`${registryUser.username}:${registryUser.password}`).toString('base64')}`;
    const response = await fetch(`http://${this.address}${path}`, {
      method,
      headers: { authorization, ...(type ? { 'content-type': type } : {}) },
      ...(body ? { body: new Uint8Array(body) } : {}),
    });
    if (response.status !== expected) throw new Error(`${method} ${path} answered ${response.status}: ${await response.text()}`);
    return response;
  }
}
