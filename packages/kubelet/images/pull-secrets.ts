/** Credentials for image pulls, from Secrets of type dockerconfigjson and dockercfg. Pure; credentials never go into messages. */
import type { KubeObject } from '@coffer/api/meta/object';
import { getOwn, isRecord } from '@coffer/api/meta/safe-object';
import type { RegistryAuth } from '@coffer/cri/runtime/container-runtime';

interface Candidate {
  readonly host: string;
  readonly path: string;
  readonly auth: RegistryAuth;
}

const defaultRegistry = 'docker.io';
const dockerHubNames = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io']);

/** Every credential that fits the image, the most specific first. */
export function pullCredentials(secrets: readonly KubeObject[], image: string): RegistryAuth[] {
  const { host, path } = splitImage(image);
  return secrets
    .flatMap(candidatesOf)
    .filter((candidate) => hostMatches(candidate.host, host) && pathMatches(candidate.path, path))
    .sort((a, b) => b.path.length - a.path.length)
    .map((candidate) => candidate.auth);
}

function candidatesOf(secret: KubeObject): Candidate[] {
  const data = isRecord(secret.data) ? secret.data : {};
  const file = secret.type === 'kubernetes.io/dockercfg' ? '.dockercfg' : '.dockerconfigjson';
  const text = getOwn(data, file);
  if (typeof text !== 'string') return [];
  let config: unknown;
  try {
    config = JSON.parse(Buffer.from(text, 'base64').toString('utf8'));
  } catch {
    // A Secret that is not JSON holds no credentials; the pull's own failure tells the user.
    return [];
  }
  const entries = file === '.dockercfg' ? config : isRecord(config) ? config.auths : undefined;
  if (!isRecord(entries)) return [];
  return Object.keys(entries).flatMap((server) => {
    const entry = getOwn(entries, server);
    return isRecord(entry) ? [candidate(server, entry)] : [];
  });
}

function candidate(server: string, entry: Readonly<Record<string, unknown>>): Candidate {
  const text = (key: string) => (typeof entry[key] === 'string' ? String(entry[key]) : '');
  let username = text('username');
  let password = text('password');
  if (text('auth') !== '') {
    const decoded = Buffer.from(text('auth'), 'base64').toString('utf8');
    const colon = decoded.indexOf(':');
    if (colon >= 0) {
      username = decoded.slice(0, colon);
      password = decoded.slice(colon + 1).replace(/\0+$/, '');
    }
  }
  const bare = server.replace(/^https?:\/\//, '');
  const slash = bare.indexOf('/');
  const host = slash < 0 ? bare : bare.slice(0, slash);
  const path = slash < 0 ? '' : bare.slice(slash + 1).replace(/\/+$/, '');
  return {
    host,
    // `https://index.docker.io/v1/` names an API version, not a path of images.
    path: path === 'v1' || path === 'v2' ? '' : path,
    auth: {
      username,
      password,
      auth: '',
      // Which registry they are for was decided here; a runtime that is told one compares it in ways of its own.
      serverAddress: '',
      identityToken: text('identitytoken'),
      registryToken: text('registrytoken'),
    },
  };
}

/** Registry and repository of an image reference. */
export function splitImage(image: string): { readonly host: string; readonly path: string } {
  const name = image.split('@')[0] ?? image;
  const slash = name.indexOf('/');
  const first = slash < 0 ? '' : name.slice(0, slash);
  const hasHost = first.includes('.') || first.includes(':') || first === 'localhost';
  const host = hasHost ? first : defaultRegistry;
  const rest = hasHost ? name.slice(slash + 1) : name;
  const colon = rest.lastIndexOf(':');
  return { host, path: colon > rest.lastIndexOf('/') ? rest.slice(0, colon) : rest };
}

function hostMatches(pattern: string, host: string): boolean {
  if (dockerHubNames.has(pattern) && dockerHubNames.has(host)) return true;
  const [patternName = '', patternPort = ''] = pattern.split(':');
  const [hostName = '', hostPort = ''] = host.split(':');
  if (patternPort !== hostPort) return false;
  const patternParts = patternName.split('.');
  const hostParts = hostName.split('.');
  return patternParts.length === hostParts.length && patternParts.every((part, i) => globMatches(part, hostParts[i] ?? ''));
}

function globMatches(pattern: string, text: string): boolean {
  const source = pattern.replace(/[\\^$+?.()|[\]{}]/g, '\\$&').replaceAll('*', '.*');
  return new RegExp(`^${source}$`).test(text);
}

function pathMatches(prefix: string, path: string): boolean {
  return prefix === '' || path === prefix || path.startsWith(`${prefix}/`);
}
