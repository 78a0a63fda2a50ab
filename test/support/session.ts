import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type CofferProcess, eventually, type Output, runCommand } from './coffer-process.ts';

/** A user's shell session in a namespace of its own: kubectl on the PATH, a scratch folder, real bash. */
export class Session {
  readonly namespace: string;
  readonly folder: string;
  readonly #coffer: CofferProcess;

  private constructor(coffer: CofferProcess, namespace: string, folder: string) {
    this.#coffer = coffer;
    this.namespace = namespace;
    this.folder = folder;
  }

  /** `name` becomes the start of the namespace's name, or all of it when `exact`. */
  static async open(coffer: CofferProcess, name: string, exact = false): Promise<Session> {
    const namespace = exact ? name : `${name}-${randomBytes(3).toString('hex')}`;
    const folder = await mkdtemp(path.join(tmpdir(), 'coffer-session-'));
    const session = new Session(coffer, namespace, folder);
    if (namespace !== 'default') await session.succeed(['create', 'namespace', namespace]);
    await eventually('the default service account', async () => (await session.kubectl(['get', 'serviceaccount', 'default'])).code === 0);
    return session;
  }

  /** Opens one for `use`, and closes it whatever happens. */
  static async use(coffer: CofferProcess, name: string, use: (session: Session) => Promise<void>): Promise<void> {
    const session = await Session.open(coffer, name);
    try {
      await use(session);
    } finally {
      await session.close();
    }
  }

  kubectl(args: readonly string[], input?: string): Promise<Output> {
    return this.#coffer.kubectl(['-n', this.namespace, ...args], input === undefined ? {} : { input });
  }

  /** kubectl that must succeed; returns what it printed, without the last line feed. */
  async succeed(args: readonly string[], input?: string): Promise<string> {
    const { code, stdout, stderr } = await this.kubectl(args, input);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')} ended with ${code}: ${stderr}${stdout}`);
    return stdout.replace(/\n$/, '');
  }

  /** kubectl that must fail; returns what it printed on standard error. */
  async fail(args: readonly string[], input?: string): Promise<string> {
    const { code, stdout, stderr } = await this.kubectl(args, input);
    if (code === 0) throw new Error(`kubectl ${args.join(' ')} succeeded: ${stdout}`);
    return stderr.trim();
  }

  /** A command line exactly as a document shows it, run by bash with this session's kubectl and namespace. */
  async bash(line: string): Promise<Output> {
    const wrapper = path.join(this.folder, 'kubectl');
    await writeFile(wrapper, `#!/bin/sh\nexec '${this.#coffer.kubectlPath}' --namespace '${this.namespace}' "$@"\n`, { mode: 0o755 });
    const env = { KUBECONFIG: this.#coffer.kubeconfig, HOME: this.folder, PATH: `${this.folder}:${process.env.PATH ?? ''}` };
    return runCommand('bash', ['-c', `cd '${this.folder}' && ${line}`], { env });
  }

  /** Writes a file into the session's folder, where `bash` runs. */
  async file(name: string, content: string): Promise<string> {
    const file = path.join(this.folder, name);
    await writeFile(file, content);
    return file;
  }

  apply(manifest: string): Promise<string> {
    return this.succeed(['apply', '-f', '-'], manifest);
  }

  /** Names of the running, ready pods with these labels, once there are `count` of them and no others. */
  readyPods(selector: string, count: number): Promise<string[]> {
    return eventually(
      `${count} ready pods with ${selector}`,
      async () => {
        const list = JSON.parse(await this.succeed(['get', 'pods', '-l', selector, '-o', 'json']));
        const pods = list.items as {
          metadata: { name: string; deletionTimestamp?: string };
          status: { conditions?: { type: string; status: string }[] };
        }[];
        const ready = pods.filter(
          (pod) => !pod.metadata.deletionTimestamp && pod.status.conditions?.some((c) => c.type === 'Ready' && c.status === 'True'),
        );
        return ready.length === count && pods.length === count ? ready.map((pod) => pod.metadata.name) : undefined;
      },
      60_000,
    );
  }

  /** What a command prints inside a pod. */
  exec(pod: string, ...command: string[]): Promise<string> {
    return this.succeed(['exec', pod, '--', ...command]);
  }

  async close(): Promise<void> {
    if (this.namespace !== 'default') await this.kubectl(['delete', 'namespace', this.namespace, '--wait=false']);
    await rm(this.folder, { recursive: true, force: true });
  }
}
