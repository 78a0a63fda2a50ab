/**
 * Approves what kubelets ask for themselves, signs what was approved, and clears away old requests. Identity: `certificate-controller`.
 * Whether a kubelet may be approved is asked of the server by SubjectAccessReview; the signing key stays with the injected signer.
 */

import { isReason } from '@coffer/api/errors/status-error';
import type { V1CertificateSigningRequest, V1CertificateSigningRequestCondition } from '@coffer/api/generated/types';
import { nameOf, uidOf } from '@coffer/client/rest/api-object';
import { apiTime, parseApiTime } from '@coffer/client/rest/api-time';
import { CERTIFICATE_SIGNING_REQUESTS, SUBJECT_ACCESS_REVIEWS } from '@coffer/client/rest/well-known';
import { WorkQueue } from '@coffer/client/workqueue/work-queue';
import type { LoopDeps } from '../common/loop-deps.ts';
import { CLIENT_SIGNER, KUBELET_CLIENT_SIGNER, KUBELET_SERVING_SIGNER, kubeletClientObjection, signingObjection } from './csr-rules.ts';
import type { ParsedRequest } from './parse-csr.ts';
import { parseRequest } from './parse-csr.ts';

/** Holds the cluster's signing key. */
export interface CertificateSigner {
  /** Issues a certificate for a request whose content was checked. Returns PEM. */
  sign(request: SigningRequest): Promise<string>;
}

export interface SigningRequest {
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array;
  readonly commonName: string;
  readonly organizations: readonly string[];
  /** DNS names and IP addresses. */
  readonly names: readonly string[];
  readonly usage: 'client' | 'server';
  readonly validityMs: number;
}

export interface CertificateControllerDeps extends LoopDeps {
  readonly signer: CertificateSigner;
}

const MAX_VALIDITY_MS = 365 * 24 * 3_600_000;
const MIN_VALIDITY_MS = 10 * 60_000;
const CLEAN_EVERY_MS = 10 * 60_000;
const HOUR_MS = 3_600_000;
const SIGNERS: ReadonlySet<string> = new Set([KUBELET_CLIENT_SIGNER, KUBELET_SERVING_SIGNER, CLIENT_SIGNER]);

export async function runCertificateController(deps: CertificateControllerDeps, signal: AbortSignal): Promise<void> {
  await new CertificateController(deps, signal).run();
}

class CertificateController {
  readonly #deps: CertificateControllerDeps;
  readonly #signal: AbortSignal;

  constructor(deps: CertificateControllerDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
  }

  async run(): Promise<void> {
    const { informers, clock, logger } = this.#deps;
    const requests = informers.informer(CERTIFICATE_SIGNING_REQUESTS);
    const queue = new WorkQueue(clock, { backoff: { initialMs: 200, factor: 2, maxMs: 1_000_000 } });
    requests.addHandler({ onAdd: (request) => queue.add(nameOf(request)), onUpdate: (_old, request) => queue.add(nameOf(request)) });
    await informers.whenSynced(this.#signal).catch(() => undefined);
    const sync = async (name: string): Promise<void> => {
      const request = requests.get(name);
      if (request !== undefined) await this.#sync(request);
    };
    await Promise.all([queue.run(2, sync, logger, this.#signal), this.#clean(() => requests.list())]);
  }

  async #sync(request: V1CertificateSigningRequest): Promise<void> {
    if ((request.status?.certificate ?? '') !== '' || has(request, 'Denied') || has(request, 'Failed')) return;
    const { signerName, usages } = request.spec;
    if (!SIGNERS.has(signerName)) return;
    const approved = has(request, 'Approved');
    if (!approved && signerName !== KUBELET_CLIENT_SIGNER) return;
    let parsed: ParsedRequest;
    try {
      parsed = await parseRequest(request.spec.request);
    } catch (error) {
      if (approved)
        await this.#fail(
          request,
          `unable to parse csr ${JSON.stringify(nameOf(request))}: ${error instanceof Error ? error.message : String(error)}`,
        );
      return;
    }
    if (!approved) {
      await this.#approve(request, parsed);
      return;
    }
    const objection = signingObjection(signerName, parsed, usages ?? []);
    if (objection !== undefined) {
      await this.#fail(request, objection);
      return;
    }
    const pem = await this.#deps.signer.sign({
      publicKey: parsed.publicKey,
      commonName: parsed.commonName,
      organizations: parsed.organizations,
      names: [...parsed.dnsNames, ...parsed.ipAddresses],
      usage: signerName === KUBELET_SERVING_SIGNER ? 'server' : 'client',
      validityMs: validityMs(request.spec.expirationSeconds),
    });
    await this.#writeStatus({ ...request, status: { ...request.status, certificate: Buffer.from(pem).toString('base64') } });
  }

  /** A kubelet may ask for its own client certificate, or with a bootstrap credential for its first one, if it is allowed to. */
  async #approve(request: V1CertificateSigningRequest, parsed: ParsedRequest): Promise<void> {
    if (kubeletClientObjection(parsed, request.spec.usages ?? []) !== undefined) return;
    const own = request.spec.username === parsed.commonName;
    const ways = [
      ...(own
        ? [{ subresource: 'selfnodeclient', message: 'Auto approving self kubelet client certificate after SubjectAccessReview.' }]
        : []),
      { subresource: 'nodeclient', message: 'Auto approving kubelet client certificate after SubjectAccessReview.' },
    ];
    for (const { subresource, message } of ways) {
      if (!(await this.#mayCreate(request, subresource))) continue;
      const now = apiTime(this.#deps.clock.now());
      const condition = { type: 'Approved', status: 'True', reason: 'AutoApproved', message, lastUpdateTime: now, lastTransitionTime: now };
      const conditions = [...(request.status?.conditions ?? []), condition];
      await this.#ignoringGone(() =>
        this.#deps.api
          .resource(CERTIFICATE_SIGNING_REQUESTS)
          .update({ ...request, status: { ...request.status, conditions } }, { subresource: 'approval', signal: this.#signal }),
      );
      return;
    }
  }

  async #mayCreate(request: V1CertificateSigningRequest, subresource: string): Promise<boolean> {
    const { username, uid, groups, extra } = request.spec;
    const review = await this.#deps.api.resource(SUBJECT_ACCESS_REVIEWS).create(
      {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: {
          ...(username === undefined ? {} : { user: username }),
          ...(uid === undefined ? {} : { uid }),
          ...(groups === undefined ? {} : { groups }),
          ...(extra === undefined ? {} : { extra }),
          resourceAttributes: {
            group: 'certificates.k8s.io',
            resource: 'certificatesigningrequests',
            verb: 'create',
            version: '*',
            subresource,
          },
        },
      },
      { signal: this.#signal },
    );
    return review.status?.allowed === true;
  }

  async #fail(request: V1CertificateSigningRequest, message: string): Promise<void> {
    const now = apiTime(this.#deps.clock.now());
    const condition = {
      type: 'Failed',
      status: 'True',
      reason: 'SignerValidationFailure',
      message,
      lastUpdateTime: now,
      lastTransitionTime: now,
    };
    await this.#writeStatus({ ...request, status: { ...request.status, conditions: [...(request.status?.conditions ?? []), condition] } });
  }

  async #writeStatus(request: V1CertificateSigningRequest): Promise<void> {
    await this.#ignoringGone(() => this.#deps.api.resource(CERTIFICATE_SIGNING_REQUESTS).updateStatus(request, { signal: this.#signal }));
  }

  async #ignoringGone(write: () => Promise<unknown>): Promise<void> {
    try {
      await write();
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
    }
  }

  /** Decided requests go after an hour, undecided ones after a day. */
  async #clean(list: () => readonly V1CertificateSigningRequest[]): Promise<void> {
    const { api, clock, logger } = this.#deps;
    while (!this.#signal.aborted) {
      for (const request of list()) {
        if (!isOld(request, clock.now())) continue;
        try {
          await api
            .resource(CERTIFICATE_SIGNING_REQUESTS)
            .delete(nameOf(request), { body: { preconditions: { uid: uidOf(request) } }, signal: this.#signal });
        } catch (error) {
          if (!this.#signal.aborted && !isReason(error, 'NotFound'))
            logger.warn('an old certificate request could not be deleted', { name: nameOf(request), err: error });
        }
      }
      await clock.sleep(CLEAN_EVERY_MS, this.#signal).catch(() => undefined);
    }
  }
}

function has(request: V1CertificateSigningRequest, type: string): boolean {
  return conditionsOf(request).some((condition) => condition.type === type && condition.status === 'True');
}

function conditionsOf(request: V1CertificateSigningRequest): readonly V1CertificateSigningRequestCondition[] {
  return request.status?.conditions ?? [];
}

function isOld(request: V1CertificateSigningRequest, nowMs: number): boolean {
  const decided = conditionsOf(request).filter((condition) => ['Approved', 'Denied', 'Failed'].includes(condition.type));
  const sinceMs = (time: string | undefined) => parseApiTime(time) ?? nowMs;
  if (decided.length === 0) return nowMs - sinceMs(request.metadata?.creationTimestamp) > 24 * HOUR_MS;
  return decided.some((condition) => nowMs - sinceMs(condition.lastUpdateTime) > HOUR_MS);
}

function validityMs(expirationSeconds: number | undefined): number {
  if (expirationSeconds === undefined) return MAX_VALIDITY_MS;
  return Math.min(MAX_VALIDITY_MS, Math.max(MIN_VALIDITY_MS, expirationSeconds * 1000));
}
