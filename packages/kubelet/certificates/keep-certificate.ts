import { createPrivateKey, X509Certificate } from 'node:crypto';
import { type BackoffOptions, backoffDelayMs } from '@coffer/base/backoff';
import type { Logger } from '@coffer/base/log/logger';
import { type CertificateAsk, type CertificateRequestDeps, type NodeCertificate, requestCertificate } from './request-certificate.ts';

/** Where a certificate of the node is kept between two starts. */
export interface CertificateFiles {
  /** Undefined when there is none that can be used any more. */
  read(): Promise<NodeCertificate | undefined>;
  write(certificate: NodeCertificate): Promise<void>;
}

export interface KeptCertificateDeps extends CertificateRequestDeps {
  readonly files: CertificateFiles;
  readonly logger: Logger;
}

const renewAtShare = 0.8;
const minSleepMs = 2_000;
/** Timers cannot be longer than 24 days. */
const maxSleepMs = 86_400_000;
const retry: BackoffOptions = { initialMs: 1_000, factor: 2, maxMs: 60_000 };

/**
 * Keeps a certificate valid: the one of the files, a new one asked for when there is none, and the next one when 80 % of its life are over.
 * Calls `use` with each, when it is in the files; a failure is logged and tried again. Returns when `signal` is aborted.
 */
export async function keepCertificate(
  deps: KeptCertificateDeps,
  ask: CertificateAsk,
  use: (certificate: NodeCertificate) => Promise<void> | void,
  signal: AbortSignal,
): Promise<void> {
  const { clock } = deps;
  let current = await deps.files.read();
  if (current) await use(current);
  while (!signal.aborted) {
    if (!current || renewalTimeMs(current) <= clock.now()) {
      const next = await firstCertificate(deps, ask, signal);
      if (next === undefined) return;
      current = next;
      await use(current);
    }
    const waitMs = Math.min(maxSleepMs, Math.max(minSleepMs, renewalTimeMs(current) - clock.now()));
    await clock.sleep(waitMs, signal).catch(() => undefined);
  }
}

/** Asks until there is a certificate, and writes it to the files. Undefined when `signal` is aborted first. */
export async function firstCertificate(
  deps: KeptCertificateDeps,
  ask: CertificateAsk,
  signal: AbortSignal,
): Promise<NodeCertificate | undefined> {
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      const certificate = await requestCertificate(deps, ask, signal);
      await deps.files.write(certificate);
      return certificate;
    } catch (error) {
      if (signal.aborted) return undefined;
      deps.logger.error(`the kubelet gets no certificate from ${ask.signerName}, trying again`, { err: error });
      await deps.clock.sleep(backoffDelayMs(retry, failures), signal).catch(() => undefined);
    }
  }
  return undefined;
}

/** Whether the key fits and the time of the certificate has not run out. */
export function isUsable({ keyPem, certificatePem }: NodeCertificate, nowMs: number): boolean {
  const certificate = new X509Certificate(certificatePem);
  return nowMs < Date.parse(certificate.validTo) && certificate.checkPrivateKey(createPrivateKey(keyPem));
}

function renewalTimeMs({ certificatePem }: NodeCertificate): number {
  const { validFrom, validTo } = new X509Certificate(certificatePem);
  const [from, to] = [Date.parse(validFrom), Date.parse(validTo)];
  return from + (to - from) * renewAtShare;
}
