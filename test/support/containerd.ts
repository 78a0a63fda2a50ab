/**
 * A private containerd for tests: Debian's packages, a root, state and socket of its own, a bridge of its own for pods, and small
 * images made here. Needs root. Stopping it ends its containers.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { unpackDebianPackages } from './debian-packages.ts';
import { type LayerEntry, ociImage } from './oci-image.ts';

const run = promisify(execFile);
const packages = ['containerd', 'runc', 'containernetworking-plugins', 'busybox-static', 'bash-static'];
/** Where a containerd of the second generation comes from; everything else is of this machine's release. */
const newerSuite = 'forky';
const applets =
  'sh cat ls env id sleep echo printf head tail tr wc stty nc hostname touch find grep cut true false mkdir rm mount ps test sort sed readlink stat sha256sum kill wget date awk ip seq tar';

/** Of the machine's Debian release (1.6 in Debian 12), or of the second generation. */
export const containerdVersions = ['stable', '2.x'] as const;

export interface ContainerdOptions {
  /** Default `stable`. */
  readonly version?: (typeof containerdVersions)[number];
  /** `host:port` of registries that are reached over plain HTTP. */
  readonly plainHttpRegistries?: readonly string[];
  /** `host:port` of one that stands for every registry that is not named above, over plain HTTP. */
  readonly mirror?: string;
}

/** A running containerd. */
export class TestContainerd {
  readonly endpoint: string;
  /** An image with busybox and bash, present from the start. */
  readonly image = 'docker.io/library/busybox:latest';
  readonly #directory: string;
  readonly #tools: string;
  /** Directory of containerd's own programs. */
  readonly #programs: string;
  readonly #bridge: string;
  #process: ChildProcess | undefined;

  private constructor(directory: string, tools: string, programs: string, bridge: string) {
    this.#directory = directory;
    this.#tools = tools;
    this.#programs = programs;
    this.#bridge = bridge;
    this.endpoint = `unix://${join(directory, 'containerd.sock')}`;
  }

  static async start(options: ContainerdOptions = {}): Promise<TestContainerd> {
    const tools = await unpackDebianPackages('containerd', packages);
    const engine = options.version === '2.x' ? await unpackDebianPackages('containerd-2', ['containerd'], { suite: newerSuite }) : tools;
    const directory = await mkdtemp('/tmp/containerd-');
    const containerd = new TestContainerd(directory, tools, join(engine, 'usr/bin'), `cdt${randomBytes(4).toString('hex')}`);
    await containerd.#writeConfiguration(options);
    await containerd.restart();
    await containerd.importImage(
      ociImage({ reference: pauseImage, entrypoint: ['/bin/sleep', '2147483647'] }, await containerd.busyboxLayer()),
    );
    await containerd.importImage(ociImage({ reference: containerd.image, command: ['sh'] }, await containerd.busyboxLayer()));
    return containerd;
  }

  /** Ends the daemon, not its containers, and starts it again. */
  async restart(): Promise<void> {
    await this.#endProcess();
    const path = `${this.#programs}:${this.#tools}/usr/sbin:${process.env.PATH}`;
    this.#process = spawn(join(this.#programs, 'containerd'), ['--config', join(this.#directory, 'config.toml')], {
      stdio: ['ignore', 'ignore', 'ignore'],
      env: { ...process.env, PATH: path },
    });
    for (let tries = 0; ; tries++) {
      const ready = await this.ctr('version').then(
        () => true,
        () => false,
      );
      if (ready) return;
      if (tries > 200) throw new Error('containerd did not start');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async importImage(image: Buffer): Promise<void> {
    const file = join(this.#directory, `image-${randomBytes(4).toString('hex')}.tar`);
    await writeFile(file, image);
    await this.ctr('images', 'import', file);
    await rm(file);
  }

  /** Files of an image with busybox, bash and the usual users. */
  busyboxLayer(): Promise<LayerEntry[]> {
    return busyboxLayer(this.#tools);
  }

  /** Runs containerd's own client. */
  async ctr(...args: string[]): Promise<string> {
    const { stdout } = await run(join(this.#programs, 'ctr'), ['-a', join(this.#directory, 'containerd.sock'), '-n', 'k8s.io', ...args]);
    return stdout;
  }

  /** Ends everything and removes what it wrote. */
  async stop(): Promise<void> {
    for (const task of (await this.ctr('tasks', 'ls', '-q').catch(() => '')).split('\n').filter(Boolean)) {
      await this.ctr('tasks', 'rm', '-f', task).catch(() => {});
    }
    await this.#endProcess();
    const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').map((line) => line.split(' ')[4] ?? '');
    for (const mount of mounts.filter((path) => path.startsWith(`${this.#directory}/`)).reverse())
      await run('umount', ['-l', mount]).catch(() => {});
    await run('ip', ['link', 'delete', this.#bridge]).catch(() => {});
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #endProcess(): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  }

  async #writeConfiguration(options: ContainerdOptions): Promise<void> {
    const at = (name: string): string => join(this.#directory, name);
    await mkdir(at('cni'));
    const subnet = `10.${200 + ((randomBytes(1)[0] ?? 0) % 50)}.${randomBytes(1)[0] ?? 0}.0/24`;
    const bridge = {
      type: 'bridge',
      bridge: this.#bridge,
      isGateway: true,
      ipam: { type: 'host-local', ranges: [[{ subnet }]], routes: [{ dst: '0.0.0.0/0' }], dataDir: at('cni-data') },
    };
    await writeFile(at('cni/10-test.conflist'), JSON.stringify({ cniVersion: '0.4.0', name: 'test', plugins: [bridge] }));
    const hosts = new Map((options.plainHttpRegistries ?? []).map((registry) => [registry, registry]));
    if (options.mirror !== undefined) hosts.set('_default', options.mirror);
    for (const [name, registry] of hosts) {
      await mkdir(at(`certs/${name}`), { recursive: true });
      await writeFile(
        at(`certs/${name}/hosts.toml`),
        `server = "http://${registry}"\n[host."http://${registry}"]\n  capabilities = ["pull", "resolve"]\n`,
      );
    }
    const cri = 'plugins."io.containerd.grpc.v1.cri"';
    await writeFile(
      at('config.toml'),
      `version = 2
root = "${at('root')}"
state = "${at('state')}"
[grpc]
  address = "${at('containerd.sock')}"
[ttrpc]
  address = "${at('containerd.sock.ttrpc')}"
[${cri}]
  sandbox_image = "${pauseImage}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
[${cri}.cni]
  bin_dir = "${this.#tools}/usr/lib/cni"
  conf_dir = "${at('cni')}"
[${cri}.registry]
  config_path = "${at('certs')}"
[${cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[${cri}.containerd.runtimes.runc.options]
  BinaryName = "${this.#tools}/usr/sbin/runc"
  Root = "${at('runc')}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${at('opt')}"
`,
    );
  }
}

const pauseImage = 'docker.io/library/test-pause:1';

async function busyboxLayer(tools: string): Promise<LayerEntry[]> {
  const directories = ['bin', 'usr', 'etc', 'root', 'tmp', 'dev', 'proc', 'sys', 'var', 'var/run', 'mnt', 'home'];
  const file = (path: string, content: Buffer | string, mode = 0o644): LayerEntry => ({
    path,
    kind: 'file',
    mode,
    content: Buffer.from(content),
  });
  return [
    ...directories.map((path): LayerEntry => ({ path, kind: 'directory', mode: path === 'tmp' ? 0o1777 : 0o755 })),
    { path: 'usr/bin', kind: 'link', target: '../bin' },
    file('bin/busybox', await readFile(join(tools, 'bin/busybox')), 0o755),
    file('bin/bash', await readFile(join(tools, 'bin/bash-static')), 0o755),
    ...applets.split(' ').map((name): LayerEntry => ({ path: `bin/${name}`, kind: 'link', target: 'busybox' })),
    file('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n'),
    file('etc/group', 'root:x:0:\nnobody:x:65534:\n'),
  ];
}
