/** Configurations and helpers for tests that run real containers. */
import { readFile } from 'node:fs/promises';
import type { ContainerConfig, ContainerRuntime, ContainerStatus, Mount, PodSandboxConfig, StreamExec } from './container-runtime.ts';

let podCount = 0;

/** A pod sandbox on the network of the node, in a namespace of its own otherwise. */
export function podConfig(logDirectory: string, overrides: Partial<PodSandboxConfig> = {}): PodSandboxConfig {
  const uid = `00000000-0000-4000-8000-${String(++podCount).padStart(12, '0')}`;
  return {
    namespace: 'default',
    name: `pod-${podCount}`,
    uid,
    attempt: 0,
    hostname: `pod-${podCount}`,
    logDirectory: `${logDirectory}/${uid}`,
    labels: {},
    annotations: {},
    hostNetwork: false,
    hostPid: false,
    hostIpc: false,
    shareProcessNamespace: false,
    dns: undefined,
    runtimeHandler: '',
    portMappings: [],
    sysctls: {},
    cgroupParent: '',
    ...overrides,
  };
}

export type ContainerOverrides = Partial<Omit<ContainerConfig, 'security' | 'resources' | 'env'>> & {
  readonly security?: Partial<ContainerConfig['security']>;
  readonly resources?: Partial<ContainerConfig['resources']>;
  readonly env?: Readonly<Record<string, string | Uint8Array>> | readonly (readonly [string, string | Uint8Array])[];
};

/** A container that runs `script` in a shell. */
export function shellContainer(image: string, script: string, overrides: ContainerOverrides = {}): ContainerConfig {
  const env = overrides.env ?? {};
  const pairs: readonly (readonly [string, string | Uint8Array])[] = Array.isArray(env) ? env : Object.entries(env);
  return {
    name: 'main',
    attempt: 0,
    image,
    command: ['sh', '-c', script],
    args: [],
    workingDir: '',
    mounts: [],
    logPath: 'main/0.log',
    stdin: false,
    stdinOnce: false,
    tty: false,
    labels: {},
    annotations: {},
    ...overrides,
    env: pairs.map(([name, value]) => ({ name, value: typeof value === 'string' ? Buffer.from(value) : value })),
    security: {
      runAsUser: undefined,
      runAsUserName: undefined,
      runAsGroup: undefined,
      supplementalGroups: [],
      strictGroups: false,
      privileged: false,
      readOnlyRootFilesystem: false,
      noNewPrivileges: false,
      addCapabilities: [],
      dropCapabilities: [],
      seccomp: { kind: 'unconfined' },
      maskedPaths: ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
      ...overrides.security,
    },
    resources: {
      memoryLimitBytes: undefined,
      cpuQuotaUs: undefined,
      cpuPeriodUs: undefined,
      cpuShares: undefined,
      oomScoreAdj: undefined,
      pidsLimit: undefined,
      ...overrides.resources,
    },
  };
}

/** A mount as most tests want it. */
export function bind(hostPath: string, containerPath: string, readOnly = false): Mount {
  return { hostPath, containerPath, readOnly, propagation: 'private' };
}

/** Asks again until the answer is not undefined; fails after `timeoutMs`. */
export async function eventually<T>(what: string, ask: () => Promise<T | undefined>, timeoutMs = 20_000): Promise<T> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > end) throw new Error(`timed out waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Waits for the end of a container. */
export async function exited(runtime: ContainerRuntime, id: string, timeoutMs?: number): Promise<ContainerStatus> {
  const ask = async () => {
    const status = await runtime.containerStatus(id);
    return status?.state === 'exited' ? status : undefined;
  };
  return eventually('the container to end', ask, timeoutMs);
}

/** What a container wrote, from its log: content and stream of every line. */
export async function logLines(path: string): Promise<{ stream: string; tag: string; content: string }[]> {
  const text = await readFile(path, 'latin1').catch(() => '');
  const lines = text.split('\n');
  lines.pop();
  return lines.map((line) => {
    const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}(?:Z|[+-]\d\d:\d\d)) (stdout|stderr) ([FP](?::\S*)?) (.*)$/s.exec(line);
    if (!match) throw new Error(`not a log line: ${JSON.stringify(line)}`);
    return { stream: match[2] ?? '', tag: match[3] ?? '', content: match[4] ?? '' };
  });
}

/** The output of a container, as `kubectl logs` prints it. */
export async function logText(path: string): Promise<string> {
  return (await logLines(path)).map(({ tag, content }) => content + (tag === 'F' ? '\n' : '')).join('');
}

/** Streams of an exec or attach whose output is collected and whose input is a list of chunks, closed at the end unless `keepOpen`. */
export function collectingStreams(
  input: readonly string[] | undefined,
  options: { readonly tty?: boolean; readonly keepOpen?: AbortSignal; readonly resize?: StreamExec['resize'] } = {},
): Omit<StreamExec, 'command'> & { readonly output: { stdout: string; stderr: string } } {
  const output = { stdout: '', stderr: '' };
  const collect = (name: 'stdout' | 'stderr') => async (chunk: Uint8Array) => {
    output[name] += Buffer.from(chunk).toString('latin1');
  };
  return {
    tty: options.tty ?? false,
    stdin: input && chunks(input, options.keepOpen),
    stdout: collect('stdout'),
    stderr: options.tty ? undefined : collect('stderr'),
    resize: options.resize,
    output,
  };
}

async function* chunks(texts: readonly string[], keepOpen: AbortSignal | undefined): AsyncIterable<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
  if (keepOpen && !keepOpen.aborted)
    await new Promise<void>((resolve) => keepOpen.addEventListener('abort', () => resolve(), { once: true }));
}
