import type { HttpRequest, UserInfo } from '@coffer/base/http/handler';
import type { Clock } from '@coffer/base/time/clock';
import { headersWithPrefix, headerValues } from '../request/header-values.ts';
import { type Authenticator, CredentialsError } from './authenticator.ts';
import type { ClientAuthorities } from './client-authorities.ts';
import { CertificateReader } from './client-certificate.ts';

export interface RequestHeaderOptions {
  readonly authorities: ClientAuthorities;
  /** Common names a proxy may have; empty for any that the authorities vouch for. */
  readonly allowedNames: readonly string[];
  /** Header names; of several the first that is there counts, for groups all of them. */
  readonly usernameHeaders: readonly string[];
  readonly uidHeaders: readonly string[];
  readonly groupHeaders: readonly string[];
  readonly extraHeaderPrefixes: readonly string[];
  readonly clock: Clock;
}

/**
 * Requests of an authenticating proxy (`--requestheader-*`): its client certificate says that it may speak for others, headers say for
 * whom. From anybody else the headers mean nothing.
 */
export function requestHeaderAuthenticator(options: RequestHeaderOptions): Authenticator {
  const certificates = new CertificateReader(options.authorities, options.clock);
  const lower = (names: readonly string[]) => names.map((name) => name.toLowerCase());
  const [usernames, uids, groups, prefixes] = [
    lower(options.usernameHeaders),
    lower(options.uidHeaders),
    lower(options.groupHeaders),
    lower(options.extraHeaderPrefixes),
  ];
  return {
    authenticate(request) {
      const certificate = certificates.read(request.peer);
      if (certificate === undefined) return undefined;
      const { allowedNames } = options;
      if (allowedNames.length > 0 && !allowedNames.includes(certificate.commonName)) {
        throw new CredentialsError(`x509: subject with cn=${certificate.commonName} is not in the allowed list`);
      }
      const name = firstValue(request, usernames);
      if (name === '') return undefined;
      const uid = firstValue(request, uids);
      const extra = extraOf(request, prefixes);
      const user: UserInfo = {
        name,
        groups: groups.flatMap((header) => headerValues(request, header)),
        ...(uid === '' ? {} : { uid }),
        ...(extra.size === 0 ? {} : { extra: Object.fromEntries(extra) }),
      };
      return { user };
    },
  };
}

function firstValue(request: HttpRequest, names: readonly string[]): string {
  for (const name of names) {
    const [value = ''] = headerValues(request, name);
    if (value !== '') return value;
  }
  return '';
}

function extraOf(request: HttpRequest, prefixes: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const extra = new Map<string, readonly string[]>();
  for (const prefix of prefixes) {
    for (const [key, values] of headersWithPrefix(request, prefix)) {
      const name = unescapeKey(key);
      extra.set(name, [...(extra.get(name) ?? []), ...values]);
    }
  }
  return extra;
}

function unescapeKey(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}
