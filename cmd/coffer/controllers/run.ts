import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { loadSigningKeys } from '@coffer/apiserver/authentication/service-account/signing-keys';
import { ServiceAccountTokenIssuer } from '@coffer/apiserver/authentication/service-account/token-issuer';
import type { UserInfo } from '@coffer/base/http/handler';
import type { Logger } from '@coffer/base/log/logger';
import { createPinoLogger } from '@coffer/base/log/pino-logger';
import { systemClock } from '@coffer/base/time/clock';
import type { Connection } from '@coffer/client/kubeconfig/connection';
import { LeaderElector } from '@coffer/client/leader-election/leader-election';
import { ApiClient } from '@coffer/client/rest/api-client';
import { type ControllersDeps, startControllers, startScheduler } from '@coffer/controllers/start-controllers';
import { hardenProcess } from '../config/harden-process.ts';
import { waitForSignal } from '../config/wait-for-signal.ts';
import { connectionOf, impersonatingTransport, remoteTransport } from '../wire/remote-transport.ts';
import type { ControllersFlags } from './command.ts';

/** `coffer controllers`: the loops and the scheduler. With leader election a process that loses the lease ends, to be started again. */
export async function runControllers(flags: ControllersFlags): Promise<void> {
  hardenProcess();
  const logger = createPinoLogger({ level: flags.logLevel });
  const connection = connectionOf(flags.kubeconfig);
  const deps = await controllersDeps(flags, connection, logger);
  const stopping = new AbortController();
  const lead = async (signal: AbortSignal): Promise<void> => {
    process.stdout.write(`coffer controllers work for ${connection.server}\n`);
    const scheduler = { transportFor: transportAs(flags, connection, 'kube-scheduler', logger), clock: systemClock, logger };
    await Promise.all([startControllers(deps, signal).stopped, startScheduler(scheduler, signal).stopped]);
  };
  const working = flags.leaderElect ? elected(connection, logger, lead, stopping.signal) : lead(stopping.signal);
  const failed = working.catch((error: unknown) => {
    logger.error('the control loops have ended', { err: error });
    process.exitCode = 1;
  });
  await Promise.race([waitForSignal(true, stopping.signal), failed]);
  stopping.abort();
  await failed;
  process.exit();
}

async function elected(connection: Connection, logger: Logger, lead: (signal: AbortSignal) => Promise<void>, signal: AbortSignal) {
  const api = new ApiClient({ transport: remoteTransport(connection, 'leader-election', logger), clock: systemClock });
  const lease = { namespace: 'kube-system', name: 'kube-controller-manager', identity: `${hostname()}_${randomUUID()}` };
  await new LeaderElector({ api, clock: systemClock, logger }, lease).run(lead, signal);
  if (!signal.aborted) throw new Error('leadership was lost');
}

function transportAs(flags: ControllersFlags, connection: Connection, component: string, logger: Logger) {
  const userAgent = `${component}/v1.36.0`;
  return (identity: UserInfo) =>
    flags.useServiceAccountCredentials
      ? impersonatingTransport(connection, identity, userAgent, logger)
      : remoteTransport(connection, userAgent, logger);
}

async function controllersDeps(flags: ControllersFlags, connection: Connection, logger: Logger): Promise<ControllersDeps> {
  const caBundle = flags.rootCaFile ? await readFile(flags.rootCaFile, 'utf8') : connection.tls.ca;
  if (caBundle === undefined) throw new Error('--root-ca-file is needed: the kubeconfig names no authority');
  return {
    transportFor: transportAs(flags, connection, 'kube-controller-manager', logger),
    clock: systemClock,
    logger,
    caBundle,
    options: { legacyTokenCleanUpPeriodMs: flags.legacyServiceAccountTokenCleanUpPeriod },
    ...(await signer(flags)),
    ...(await tokenIssuer(flags)),
  };
}

async function signer(flags: ControllersFlags): Promise<Pick<ControllersDeps, 'signer'>> {
  const { clusterSigningCertFile, clusterSigningKeyFile } = flags;
  if (clusterSigningCertFile === undefined && clusterSigningKeyFile === undefined) return {};
  if (clusterSigningCertFile === undefined || clusterSigningKeyFile === undefined)
    throw new Error('--cluster-signing-cert-file and --cluster-signing-key-file are needed together');
  const [certificatePem, keyPem] = await Promise.all([readFile(clusterSigningCertFile, 'utf8'), readFile(clusterSigningKeyFile, 'utf8')]);
  return {
    signer: {
      async sign({ publicKey, ...request }) {
        const { signPublicKey } = await import('@coffer/apiserver/pki/certificates');
        return signPublicKey({ certificatePem, keyPem }, publicKey, { ...request, nowMs: systemClock.now() });
      },
    },
  };
}

async function tokenIssuer(flags: ControllersFlags): Promise<Pick<ControllersDeps, 'tokenIssuer'>> {
  if (flags.serviceAccountPrivateKeyFile === undefined) return {};
  const keys = loadSigningKeys(await readFile(flags.serviceAccountPrivateKeyFile, 'utf8'));
  const issuer = new ServiceAccountTokenIssuer({
    keys,
    issuer: flags.serviceAccountIssuer,
    apiAudiences: [flags.serviceAccountIssuer],
    clock: systemClock,
  });
  return { tokenIssuer: { issue: (account, secret) => issuer.issueForSecret(account, secret) } };
}
