import { afterAll, beforeAll, describe } from 'vitest';
import { CofferProcess, type Output, runCommand } from '../../support/coffer-process.ts';
import { Session } from '../../support/session.ts';
import { describeChanges } from './changes.ts';
import { describeCluster } from './cluster.ts';
import { describeContainers } from './containers.ts';
import { describeObjects } from './objects.ts';
import { describeWorkloads } from './workloads.ts';

/** What the parts of the suite share: one program, one namespace, one kubectl. */
export interface KubectlSuite {
  /** Path of the kubectl that is tested. */
  readonly kubectl: string;
  readonly coffer: CofferProcess;
  readonly session: Session;
  /** A command line that must succeed, and what it prints. */
  readonly run: (line: string, input?: string) => Promise<string>;
  /** A command line that must fail, and what it prints about that. */
  readonly refused: (line: string, input?: string) => Promise<string>;
  /** kubectl with variables of its own, e.g. EDITOR. */
  readonly withEnv: (args: readonly string[], env: Readonly<Record<string, string>>) => Promise<Output>;
}

/** Every verb of a real kubectl, one after the other, against the real program with its sandbox node. */
export function describeKubectl(version: string, kubectl: string): void {
  let coffer: CofferProcess | undefined;
  let session: Session | undefined;
  const opened = <T>(value: T | undefined): T => {
    if (value === undefined) throw new Error('the program does not run');
    return value;
  };
  const suite: KubectlSuite = {
    kubectl,
    get coffer() {
      return opened(coffer);
    },
    get session() {
      return opened(session);
    },
    run: (line, input) => opened(session).succeed(words(line), input),
    refused: (line, input) => opened(session).fail(words(line), input),
    withEnv(args, env) {
      const own = opened(session);
      const variables = { KUBECONFIG: opened(coffer).kubeconfig, HOME: own.folder, ...env };
      return runCommand(kubectl, ['-n', own.namespace, ...args], { env: variables });
    },
  };

  describe(`kubectl ${version}`, () => {
    beforeAll(async () => {
      coffer = await CofferProcess.start({ kubectl });
      session = await Session.open(coffer, 'verbs');
    });
    afterAll(async () => {
      await session?.close();
      await coffer?.dispose();
    });

    describeObjects(suite);
    describeChanges(suite);
    describeWorkloads(suite);
    describeContainers(suite);
    describeCluster(suite);
  });
}

/** Splits at spaces, but not within single quotes. */
export function words(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? '');
}

/** A Deployment whose container runs a script. */
export const workload = (name: string, script: string, replicas = 1): string => `apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, labels: {app: ${name}}}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: busybox
        command: [sh, -c, '${script}']
`;

export const loop = 'echo started; while :; do sleep 1; done';
