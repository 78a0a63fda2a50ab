import { createHash, X509Certificate } from 'node:crypto';
import type { V1SubjectAccessReview, V1TokenReview } from '@coffer/api/generated/types';
import type { UserInfo } from '@coffer/base/http/handler';
import type { Clock } from '@coffer/base/time/clock';
import type { ApiClient } from '@coffer/client/rest/api-client';
import type { ResourceRef } from '@coffer/client/rest/resource-ref';
import { SUBJECT_ACCESS_REVIEWS } from '@coffer/client/rest/well-known';

/** What a request shows of who sent it. */
export interface Credentials {
  /** DER of a client certificate that the TLS layer verified against the cluster's authority. */
  readonly certificate: Uint8Array | undefined;
  readonly bearerToken: string | undefined;
}

/** A question to the API server: may this user do that with this node? */
export interface NodeAttributes {
  readonly verb: string;
  /** `nodes/<subresource>`. */
  readonly subresource: string;
}

export interface KubeletAccessDeps {
  readonly api: ApiClient;
  readonly nodeName: string;
  readonly clock: Clock;
}

const TOKEN_REVIEWS: ResourceRef<V1TokenReview> = {
  group: 'authentication.k8s.io',
  version: 'v1',
  resource: 'tokenreviews',
  kind: 'TokenReview',
  namespaced: false,
};
const tokenTtlMs = 120_000;
const allowedTtlMs = 300_000;
const deniedTtlMs = 30_000;
const maxEntries = 1000;

/**
 * Who may use the kubelet's port, decided by the API server: a client certificate of the cluster's authority or a bearer token by
 * TokenReview, then SubjectAccessReview. There is no anonymous access. Answers are remembered for upstream's times.
 */
export class KubeletAccess {
  readonly #deps: KubeletAccessDeps;
  readonly #users = new Map<string, { readonly user: UserInfo | undefined; readonly untilMs: number }>();
  readonly #decisions = new Map<string, { readonly allowed: boolean; readonly untilMs: number }>();

  constructor(deps: KubeletAccessDeps) {
    this.#deps = deps;
  }

  /** Undefined: nobody (401). Rejects when the API server cannot be asked. */
  async authenticate({ certificate, bearerToken }: Credentials): Promise<UserInfo | undefined> {
    const holder = certificate && holderOf(certificate, this.#deps.clock.now());
    if (holder || bearerToken === undefined) return holder;
    const key = createHash('sha256').update(bearerToken).digest('base64');
    const nowMs = this.#deps.clock.monotonicMs();
    const known = this.#users.get(key);
    if (known && nowMs < known.untilMs) return known.user;
    const user = await this.#review(bearerToken);
    remember(this.#users, key, { user, untilMs: nowMs + tokenTtlMs });
    return user;
  }

  /** True when the user may do any of these, asked in order. Rejects when the API server cannot be asked. */
  async authorize(user: UserInfo, attributes: readonly NodeAttributes[]): Promise<boolean> {
    for (const one of attributes) if (await this.#mayDo(user, one)) return true;
    return false;
  }

  async #review(token: string): Promise<UserInfo | undefined> {
    const review: V1TokenReview = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } };
    const { status } = await this.#deps.api.resource(TOKEN_REVIEWS).create(review);
    const name = status?.user?.username ?? '';
    if (status?.authenticated !== true || name === '') return undefined;
    const { uid, groups, extra } = status.user ?? {};
    return { name, groups: groups ?? [], ...(uid ? { uid } : {}), ...(extra ? { extra } : {}) };
  }

  async #mayDo(user: UserInfo, { verb, subresource }: NodeAttributes): Promise<boolean> {
    const spec = {
      user: user.name,
      groups: user.groups,
      ...(user.uid ? { uid: user.uid } : {}),
      ...(user.extra ? { extra: user.extra } : {}),
      resourceAttributes: { verb, version: 'v1', resource: 'nodes', subresource, name: this.#deps.nodeName },
    };
    const key = JSON.stringify(spec);
    const nowMs = this.#deps.clock.monotonicMs();
    const known = this.#decisions.get(key);
    if (known && nowMs < known.untilMs) return known.allowed;
    const review: V1SubjectAccessReview = { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec };
    const { status } = await this.#deps.api.resource(SUBJECT_ACCESS_REVIEWS).create(review);
    const allowed = status?.allowed === true;
    remember(this.#decisions, key, { allowed, untilMs: nowMs + (allowed ? allowedTtlMs : deniedTtlMs) });
    return allowed;
  }
}

function remember<T>(entries: Map<string, T>, key: string, entry: T): void {
  entries.delete(key);
  for (const oldest of entries.keys()) {
    if (entries.size < maxEntries) break;
    entries.delete(oldest);
  }
  entries.set(key, entry);
}

/** CN is the user, every O a group; undefined for a certificate that is not valid now, not for clients, or without a name. */
function holderOf(der: Uint8Array, nowMs: number): UserInfo | undefined {
  const certificate = new X509Certificate(der);
  if (nowMs < Date.parse(certificate.validFrom) || nowMs > Date.parse(certificate.validTo)) return undefined;
  const usages = certificate.keyUsage ?? [];
  if (usages.length > 0 && !usages.includes('1.3.6.1.5.5.7.3.2')) return undefined;
  const subject = certificate.toLegacyObject().subject as unknown as Readonly<Record<string, unknown>>;
  const list = (value: unknown) => (value === undefined ? [] : [value].flat().map(String));
  const [name = ''] = list(subject.CN);
  return name === '' ? undefined : { name, groups: [...list(subject.O), 'system:authenticated'] };
}
