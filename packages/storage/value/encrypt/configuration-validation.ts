import { isRecord } from '@coffer/api/meta/safe-object';
import { parseDuration } from '@coffer/base/time/duration';

/**
 * The rules kube-apiserver has for an EncryptionConfiguration, with its messages: `path: reason: details`. Never quotes a key.
 */
type Errors = string[];

const providerKinds = ['kms', 'aesgcm', 'aescbc', 'secretbox', 'identity'] as const;
const keyLengths: Readonly<Record<string, readonly number[]>> = { aesgcm: [16, 24, 32], aescbc: [16, 24, 32], secretbox: [32] };
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

export function validateEncryptionConfiguration(document: Readonly<Record<string, unknown>>): Errors {
  const errors: Errors = [];
  checkFields(document, ['apiVersion', 'kind', 'resources'], '', errors);
  const { resources } = document;
  if (!Array.isArray(resources) || resources.length === 0) return [...errors, required('resources', 'at least one resources is required')];
  const kmsNames = new Set<string>();
  const masking = new Set<string>();
  for (const [i, entry] of resources.entries()) {
    const path = `resources[${i}]`;
    if (!isRecord(entry)) {
      errors.push(invalid(path, entry, 'must be an object'));
      continue;
    }
    checkFields(entry, ['resources', 'providers'], path, errors);
    validateResources(entry.resources, `${path}.resources`, masking, errors);
    validateProviders(entry.providers, `${path}.providers`, kmsNames, errors);
  }
  return errors;
}

function validateResources(value: unknown, path: string, masking: Set<string>, errors: Errors): void {
  if (!Array.isArray(value) || value.length === 0) {
    errors.push(required(path, `at least one ${path} is required`));
    return;
  }
  const names = value.map(String);
  validateOverlap(names, path, errors);
  for (const [i, name] of names.entries()) {
    const problem = resourceProblem(name);
    if (problem !== undefined) errors.push(invalid(`${path}[${i}]`, name, problem));
    const { group } = parseGroupResource(name);
    for (const rule of [`*.${group}`, '*.*']) {
      if (masking.has(rule)) errors.push(`resource ${JSON.stringify(name)} is masked by earlier rule ${JSON.stringify(rule)}`);
    }
  }
  for (const name of names) if (parseGroupResource(name).resource === '*') masking.add(`*.${parseGroupResource(name).group}`);
}

function validateOverlap(names: readonly string[], path: string, errors: Errors): void {
  const list = names.map(parseGroupResource);
  let duplicate = false;
  let overlap = false;
  for (const [i, one] of list.entries()) {
    for (const [j, other] of list.entries()) {
      if (i === j) continue;
      if (one.group === other.group && one.resource === other.resource) duplicate = true;
      else if (one.group === '*' && one.resource === '*') overlap = true;
      else if (one.group === other.group && (one.resource === '*' || other.resource === '*')) overlap = true;
    }
  }
  if (duplicate) errors.push(invalid(path, names, 'the same resource cannot be specified multiple times'));
  if (overlap) {
    const details =
      "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they will be masked";
    errors.push(invalid(path, names, details));
  }
}

function resourceProblem(name: string): string | undefined {
  const { group, resource } = parseGroupResource(name);
  if (name.toLowerCase() !== name) return 'resource name should not contain capital letters';
  if (name === '*') return "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources";
  if (['apiserveripinfo', 'serviceipallocations', 'servicenodeportallocations'].includes(name)) {
    return 'resources which do not have REST API/s cannot be encrypted';
  }
  if (group === 'events.k8s.io') {
    return "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in the config file";
  }
  if (group === 'extensions') return "'extensions' group has been removed and cannot be used for encryption";
  if (group === '*' && resource !== '*') return 'encrypting the same resource across groups is not supported';
  return undefined;
}

function validateProviders(value: unknown, path: string, kmsNames: Set<string>, errors: Errors): void {
  if (!Array.isArray(value) || value.length === 0) {
    errors.push(required(path, `at least one ${path} is required`));
    return;
  }
  for (const [j, provider] of value.entries()) {
    const at = `${path}[${j}]`;
    if (!isRecord(provider)) {
      errors.push(`${at}: Invalid value: must be an object`);
      continue;
    }
    checkFields(provider, providerKinds, at, errors);
    const present = providerKinds.filter((kind) => isRecord(provider[kind]));
    const [kind] = present;
    if (kind === undefined) {
      errors.push(
        `${at}: Invalid value: provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity`,
      );
    } else if (present.length > 1) {
      errors.push(`${at}: Invalid value: more than one provider specified in a single element, should split into different list elements`);
    } else if (kind === 'kms') {
      validateKms(provider[kind] as Record<string, unknown>, `${at}.kms`, kmsNames, errors);
    } else if (kind !== 'identity') {
      validateKeys(provider[kind] as Record<string, unknown>, `${at}.${kind}`, keyLengths[kind] ?? [], errors);
    }
  }
}

function validateKeys(settings: Readonly<Record<string, unknown>>, path: string, lengths: readonly number[], errors: Errors): void {
  checkFields(settings, ['keys'], path, errors);
  const { keys } = settings;
  if (!Array.isArray(keys) || keys.length === 0) {
    errors.push(required(`${path}.keys`, 'at least one keys is required'));
    return;
  }
  for (const [i, key] of keys.entries()) {
    const at = `${path}.keys[${i}]`;
    const { name, secret } = isRecord(key) ? key : {};
    if (isRecord(key)) checkFields(key, ['name', 'secret'], at, errors);
    if (typeof name !== 'string' || name === '') errors.push(required(`${at}.name`, 'name is a mandatory field for a key'));
    if (typeof secret !== 'string' || secret === '') {
      errors.push(required(`${at}.secret`, 'secret is a mandatory field for a key'));
    } else if (!base64.test(secret)) {
      errors.push(`${at}.secret: Invalid value: "REDACTED": secrets must be base64 encoded`);
    } else {
      const length = Buffer.from(secret, 'base64').length;
      if (!lengths.includes(length)) {
        errors.push(
          `${at}.secret: Invalid value: "REDACTED": secret is not of the expected length, got ${length}, expected one of [${lengths.join(' ')}]`,
        );
      }
    }
  }
}

function validateKms(settings: Readonly<Record<string, unknown>>, path: string, names: Set<string>, errors: Errors): void {
  checkFields(settings, ['apiVersion', 'name', 'endpoint', 'timeout', 'cachesize'], path, errors);
  const { apiVersion = 'v1', name, endpoint, timeout, cachesize } = settings;
  if (typeof name !== 'string' || name === '') errors.push(required(`${path}.name`, 'name is a mandatory field for a provider'));
  else if (name.includes(':')) errors.push(invalid(`${path}.name`, name, `invalid KMS provider name ${name}, must not contain ':'`));
  else if (names.has(name)) errors.push(invalid(`${path}.name`, name, `duplicate KMS provider name ${name}, names must be unique`));
  else names.add(name);
  if (timeout !== undefined && !((typeof timeout === 'string' ? parseDuration(timeout) : undefined) ?? 0)) {
    errors.push(invalid(`${path}.timeout`, timeout, 'timeout should be a positive value'));
  }
  if (typeof endpoint !== 'string' || endpoint === '') {
    errors.push(invalid(`${path}.endpoint`, '', 'endpoint is a mandatory field for a kms'));
  } else if (!endpoint.startsWith('unix:')) {
    const scheme = endpoint.includes(':') ? endpoint.slice(0, endpoint.indexOf(':')) : '';
    errors.push(
      invalid(`${path}.endpoint`, endpoint, `unsupported scheme ${JSON.stringify(scheme)} for KMS provider, only unix is supported`),
    );
  }
  if (apiVersion === 'v2' && cachesize !== undefined)
    errors.push(invalid(`${path}.cachesize`, cachesize, 'cachesize is not supported in v2'));
  if (apiVersion === 'v1') {
    errors.push(invalid(`${path}.apiVersion`, apiVersion, 'KMSv1 is deprecated and not supported here. Use KMSv2 instead'));
  } else if (apiVersion !== 'v2') {
    errors.push(
      invalid(`${path}.apiVersion`, apiVersion, 'unsupported apiVersion apiVersion for KMS provider, only v1 and v2 are supported'),
    );
  }
}

/** `deployments.apps` → group `apps`; `*.` → group ``. */
export function parseGroupResource(text: string): { readonly group: string; readonly resource: string } {
  const dot = text.indexOf('.');
  return dot < 0 ? { group: '', resource: text } : { group: text.slice(dot + 1), resource: text.slice(0, dot) };
}

function checkFields(object: Readonly<Record<string, unknown>>, known: readonly string[], path: string, errors: Errors): void {
  for (const field of Object.keys(object)) {
    if (!known.includes(field)) errors.push(`unknown field ${JSON.stringify(path === '' ? field : `${path}.${field}`)}`);
  }
}

function required(path: string, details: string): string {
  return `${path}: Required value: ${details}`;
}

function invalid(path: string, value: unknown, details: string): string {
  return `${path}: Invalid value: ${JSON.stringify(value)}: ${details}`;
}
