import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CofferProcess, eventually } from '../support/coffer-process.ts';
import { compileWithClientGo } from '../support/go-program.ts';

/**
 * A Go program on client-go (`client-go/main.go`): typed clients, shared informers and leader election, through crashes of the
 * server. Where Debian's Go and client-go are not to be had, the tests are skipped and say why.
 */
const program = await compileWithClientGo(fileURLToPath(new URL('client-go', import.meta.url))).catch((error: unknown) => {
  console.log(`skipped, because the program cannot be compiled here: ${error instanceof Error ? error.message : String(error)}`);
  return undefined;
});

/** The running program: one command, one answer. */
class GoProgram {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  log = '';

  private constructor(child: ChildProcess, lines: AsyncIterator<string>) {
    this.#child = child;
    this.#lines = lines;
    child.stderr?.on('data', (chunk: Buffer) => {
      this.log += chunk.toString();
    });
  }

  static async start(path: string, env: Readonly<Record<string, string>>): Promise<GoProgram> {
    const child = spawn(path, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
    if (!child.stdout) throw new Error('no output');
    const started = new GoProgram(child, createInterface({ input: child.stdout })[Symbol.asyncIterator]());
    const { value } = await started.#lines.next();
    if (value !== 'ready') throw new Error(`the program did not start: ${started.log}`);
    return started;
  }

  async ask(command: string): Promise<string> {
    this.#child.stdin?.write(`${command}\n`);
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`the program ended at "${command}": ${this.log}`);
    return value;
  }

  /** Once informers and server agree, what they agree on. */
  async settled(): Promise<string> {
    return eventually(
      'informers as the server',
      async () => {
        const listed = await this.ask('listed');
        return listed.startsWith('ok') && listed === (await this.ask('cached')) ? listed : undefined;
      },
      90_000,
    ); // the client's own back-off between tries
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }
}

const representations = [
  { name: "with the client's defaults", env: { CLIENT_DEFAULTS: '1' } },
  { name: 'asking for protobuf first, as controllers do', env: { CLIENT_DEFAULTS: '0' } },
];

describe.skipIf(program === undefined).each(representations)('client-go $name', ({ env }) => {
  let coffer: CofferProcess;
  let go: GoProgram;

  beforeAll(async () => {
    coffer = await CofferProcess.start({ args: ['--runtime', 'none'] });
    go = await GoProgram.start(program ?? '', { ...env, KUBECONFIG: coffer.kubeconfig });
  });
  afterAll(async () => {
    go?.stop();
    await coffer?.dispose();
  });

  it('reads what the server is', async () => {
    expect(await go.ask('version')).toBe('ok 1.36');
    expect(Number((await go.ask('preferred')).replace('ok ', ''))).toBeGreaterThan(5);
  });

  it('creates, updates, patches, applies and deletes', async () => {
    // The manager of fields is the program's name, as the server takes it from the User-Agent.
    expect(await go.ask('create one a')).toMatch(/^ok client-go-[0-9a-f]+$/);
    expect(await go.ask('create one a')).toBe('error AlreadyExists configmaps "one" already exists');
    expect(await go.ask('update one b')).toBe('ok b');
    expect(await go.ask('stale one')).toBe(
      'error Conflict Operation cannot be fulfilled on configmaps "one": the object has been modified; please apply your changes to the latest version and try again',
    );
    expect(await go.ask('patch one c')).toBe('ok c,c,c');
    expect(await go.ask('apply two first d')).toBe('ok d');
    expect(await go.ask('apply two second e')).toBe('error Conflict Apply failed with 1 conflict: conflict with "first": .data.value');
    expect(await go.settled()).toMatch(/^ok c\/one@\d+=b c\/two@\d+=d s\/one@\d+=a$/);
    expect(await go.ask('delete one')).toBe('ok one');
    expect(await go.ask('update one x')).toBe('error NotFound configmaps "one" not found');
    expect(await go.ask('deletecollection suite=client-go')).toBe('ok suite=client-go');
    expect(await go.settled()).toBe('ok ');
  });

  it('keeps informers and the lease right across kill and restart', async () => {
    for (let i = 0; i < 8; i++) await go.ask(`create kept-${i} 0`);
    expect(await go.ask('lead one')).toBe('ok one');
    await eventually('a term', async () => (await go.ask('terms')) === 'ok 1');
    for (let round = 1; round <= 2; round++) {
      expect(await go.ask(`update kept-${round} before-${round}`)).toBe(`ok before-${round}`);
      await coffer.stop('SIGKILL');
      coffer = await CofferProcess.start({ port: coffer.port, dataDir: coffer.dataDir, args: ['--runtime', 'none'] });
      await eventually('a call after the restart', async () => (await go.ask(`delete kept-${round + 4}`)).startsWith('ok'));
      await go.ask(`create after-${round} ${round}`);
      const settled = await go.settled();
      expect(settled).toContain(`=before-${round}`);
      expect(settled).toContain(`c/after-${round}@`);
      expect(settled).not.toContain(`kept-${round + 4}@`);
    }
    // Every object was added once and deleted once for the handlers: no restart made them see anything twice.
    const { added, deleted } = (await go.ask('counts')).match(/added=(?<added>\d+) updated=\d+ deleted=(?<deleted>\d+)/)?.groups ?? {};
    const left = (await go.settled()).split(' ').length - 1;
    expect(Number(added) - Number(deleted)).toBe(left + 1); // and kube-root-ca.crt
    expect(await go.ask('terms')).toBe('ok 1');
    expect(await go.ask('resign')).toBe('ok resigned');
    // Another candidate has it next: at once where the lease was released, else (the last renewal was under way) when it has run out.
    expect(await go.ask('lead two')).toBe('ok two');
    await eventually('the next term', async () => (await go.ask('terms')) === 'ok 2');
    const lease = await coffer.call('GET', '/apis/coordination.k8s.io/v1/namespaces/default/leases/client-go');
    expect(lease.body.spec).toMatchObject({ holderIdentity: 'two', leaseTransitions: 1 });
  });
});
