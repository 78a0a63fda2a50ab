import { canonicalize } from '@coffer/api/codec/canonicalize';
import { type FieldError, invalid } from '@coffer/api/errors/field-error';
import { badRequest, conflict, invalidObject } from '@coffer/api/errors/status-error';
import type { AuthenticationV1TokenRequest, V1BoundObjectReference, V1TokenRequestSpec } from '@coffer/api/generated/types';
import { trackUpdate } from '@coffer/api/managedfields/manager';
import { type KubeObject, type Mutable, parseApiVersion } from '@coffer/api/meta/object';
import type { HttpResponse } from '@coffer/base/http/handler';
import type { StoredObject } from '@coffer/storage/store/store';
import { podSpec } from '../../registry/core/pod-strategy.ts';
import { ensureNamespace, rfc3339 } from '../../registry/generic/system-metadata.ts';
import type { RequestContext } from '../../request/context.ts';
import { readObject } from '../decode-body.ts';
import { negotiateWithoutTable } from '../negotiation.ts';
import { parseWriteOptions } from '../options/write-options.ts';
import { respondObject } from '../respond.ts';
import { admissionAttributes, type Scope } from '../scope.ts';

/** What signs ServiceAccount tokens; it checks nothing. */
export interface TokenIssuer {
  /** The server's own audiences: what a request gets that names none. */
  readonly apiAudiences: readonly string[];
  /** `--service-account-max-token-expiration`: longer requests get this; undefined for no limit. */
  readonly maxExpirationSeconds: number | undefined;
  /** `--service-account-extend-token-expiration`: see `extendedSeconds`. */
  readonly extendExpiration: boolean;
  issue(request: {
    readonly namespace: string;
    readonly name: string;
    readonly uid: string;
    readonly audiences: readonly string[];
    readonly expirationSeconds: number;
    /** Use later than this is recorded by audit; absent for no such time. */
    readonly warnAfterSeconds?: number;
    readonly boundObject?: { readonly kind: 'Pod' | 'Secret' | 'Node'; readonly name: string; readonly uid: string };
    readonly node?: NodeReference;
  }): Promise<{ readonly token: string; readonly jti: string }>;
}

type Scopes = ReadonlyMap<string, Scope>;

const body = { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' };
const schemaName = 'io.k8s.api.authentication.v1.TokenRequest';
const defaultSeconds = 3600;
const minSeconds = 600;
const maxSeconds = 2 ** 32;
/** What ServiceAccount admission asks for in the token volume it adds to pods. */
const injectedSeconds = 3607;
/** Such tokens live on for a year, for programs that read theirs once; use after the time asked for is recorded. */
const extendedSeconds = 365 * 24 * 3600;

/** POST `serviceaccounts/…/token`: a token for the account, bound to what the request names. */
export async function createToken(context: RequestContext, scope: Scope, issuer: TokenIssuer, scopes: Scopes): Promise<HttpResponse> {
  const format = negotiateWithoutTable(context.http, context.query);
  const options = parseWriteOptions(context.http, context.query, 'CreateOptions');
  const object = await readObject(context, scope.tools, body, options.fieldValidation);
  ensureNamespace(object, context.info.namespace);
  const { name, namespace } = context.info;
  const { spec } = object as unknown as Mutable<AuthenticationV1TokenRequest> & { spec?: Mutable<V1TokenRequestSpec> };
  if (spec !== undefined) spec.expirationSeconds ??= defaultSeconds;
  const subject = { name, object, oldObject: undefined, dryRun: options.dryRun };
  await scope.tools.admission.admit(admissionAttributes(context, scope, 'CREATE', subject));
  refuse(identityErrors(object, name), name);
  const now = rfc3339(scope.tools.clock.now());
  const schema = scope.tools.table.struct(schemaName);
  const managedFields = trackUpdate({
    live: undefined,
    next: object,
    manager: options.fieldManager,
    apiVersion: `${body.group}/${body.version}`,
    subresource: 'token',
    now,
    schema,
    table: scope.tools.table,
  });

  const account = scope.registry.get(namespace, name);
  const { uid } = object.metadata;
  if (uid !== undefined && uid !== '' && uid !== account.uid) {
    throw conflict(
      { group: body.group, resource: body.kind },
      name,
      `the UID in the token request (${uid}) does not match the UID of the service account (${account.uid})`,
    );
  }
  const audiences = (spec?.audiences ?? []).length > 0 ? (spec?.audiences ?? []) : issuer.apiAudiences;
  const requestedSeconds = spec?.expirationSeconds ?? defaultSeconds;
  refuse(expirationErrors(requestedSeconds), '');
  const expirationSeconds = Math.min(requestedSeconds, issuer.maxExpirationSeconds ?? requestedSeconds);
  if (expirationSeconds < requestedSeconds) {
    context.warnings.add(`requested expiration of ${requestedSeconds} seconds shortened to ${expirationSeconds} seconds`);
  }
  await scope.tools.admission.validate(admissionAttributes(context, scope, 'CREATE', subject));

  const reference = spec?.boundObjectRef ?? undefined;
  const bound = reference === undefined ? undefined : findBound(scopes, reference, name, namespace);
  const extend =
    issuer.extendExpiration &&
    bound?.object.kind === 'Pod' &&
    expirationSeconds === injectedSeconds &&
    audiences.every((audience) => issuer.apiAudiences.includes(audience));
  const issued = options.dryRun
    ? undefined
    : await issuer.issue({
        namespace,
        name,
        uid: account.uid,
        audiences,
        expirationSeconds: extend ? extendedSeconds : expirationSeconds,
        ...(extend ? { warnAfterSeconds: expirationSeconds } : {}),
        ...(bound === undefined ? {} : { boundObject: bound.object }),
        ...(bound?.node === undefined ? {} : { node: bound.node }),
      });
  if (issued !== undefined) context.auditAnnotations.set('authentication.kubernetes.io/issued-credential-id', `JTI=${issued.jti}`);
  const answer = {
    kind: body.kind,
    apiVersion: `${body.group}/${body.version}`,
    metadata: { name, namespace, uid: account.uid, creationTimestamp: now, managedFields },
    spec: { audiences, expirationSeconds, ...(reference === undefined ? {} : { boundObjectRef: reference }) },
    status:
      issued === undefined
        ? { token: '', expirationTimestamp: null }
        : { token: issued.token, expirationTimestamp: rfc3339(scope.tools.clock.now() + expirationSeconds * 1000) },
  };
  return respondObject(context, 201, canonicalize(answer, schema, scope.tools.table), format);
}

/** Only what is wrong first is reported. */
function identityErrors({ metadata: { name: own = '' } }: KubeObject, name: string): FieldError[] {
  return own === '' || own === name ? [] : [invalid('metadata.name', own, 'must match the service account name if specified')];
}

function expirationErrors(seconds: number): FieldError[] {
  if (seconds < minSeconds) return [invalid('spec.expirationSeconds', seconds, 'may not specify a duration less than 10 minutes')];
  if (seconds > maxSeconds) return [invalid('spec.expirationSeconds', seconds, 'may not specify a duration larger than 2^32 seconds')];
  return [];
}

function refuse(errors: readonly FieldError[], name: string): void {
  if (errors.length > 0) throw invalidObject({ group: body.group, kind: body.kind }, name, errors);
}

interface NodeReference {
  readonly name: string;
  readonly uid?: string;
}

interface Bound {
  readonly object: { readonly kind: 'Pod' | 'Secret' | 'Node'; readonly name: string; readonly uid: string };
  readonly node?: NodeReference;
}

/** The object a token is bound to: it must exist, be the one the request means and, for a pod, run as the account. */
function findBound(scopes: Scopes, reference: V1BoundObjectReference, account: string, namespace: string): Bound {
  const { group, version } = parseApiVersion(reference.apiVersion ?? '');
  const kind = reference.kind ?? '';
  const name = reference.name ?? '';
  if (group !== '' || (kind !== 'Pod' && kind !== 'Secret' && kind !== 'Node')) {
    throw badRequest(`cannot bind token to object of type ${group}/${version}, Kind=${kind}`);
  }
  if (name === '') throw badRequest('Name parameter required.');
  const found = lookUp(scopes, kind, kind === 'Node' ? '' : namespace, name);
  const { serviceAccountName, nodeName = '' } = kind === 'Pod' ? podSpec(found.peek()) : {};
  if (kind === 'Pod' && serviceAccountName !== account) {
    throw badRequest(`cannot bind token for serviceaccount ${JSON.stringify(account)} to pod running with different serviceaccount name.`);
  }
  if (reference.uid !== undefined && reference.uid !== '' && reference.uid !== found.uid) {
    throw conflict(
      { group, resource: kind },
      name,
      `the UID in the bound object reference (${reference.uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    );
  }
  const object = { kind, name, uid: found.uid } as const;
  if (nodeName === '') return { object };
  // A node that is not there (any more) is told by its name alone.
  const uid = scopes.get('/v1/nodes')?.registry.store.get('', nodeName)?.uid;
  return { object, node: { name: nodeName, ...(uid === undefined ? {} : { uid }) } };
}

const resourceOf = { Pod: 'pods', Secret: 'secrets', Node: 'nodes' } as const;

function lookUp(scopes: Scopes, kind: keyof typeof resourceOf, namespace: string, name: string): StoredObject {
  const scope = scopes.get(`/v1/${resourceOf[kind]}`);
  if (scope === undefined) throw badRequest(`cannot bind token to object of type /v1, Kind=${kind}`);
  return scope.registry.get(namespace, name);
}
