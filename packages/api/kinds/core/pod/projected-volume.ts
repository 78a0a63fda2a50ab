/** Projected volumes: several sources in one directory, whose files may not collide. */

import type { FieldError } from '../../../errors/field-error.ts';
import { forbiddenField, invalid, notSupported, required } from '../../../errors/field-error.ts';
import type * as api from '../../../generated/types.ts';
import { nameRules } from '../../../validation/names.ts';
import { invalidEach, validateLabelSelector } from '../../../validation/object-meta.ts';
import { validateSignerName } from '../../certificates/signer-name.ts';
import { validateFileMode, validateVolumeFilePath } from './paths.ts';
import { validateDownwardFile, validateKeyToPath } from './volume-sources.ts';

const keyTypes = ['ECDSAP256', 'ECDSAP384', 'ECDSAP521', 'ED25519', 'RSA3072', 'RSA4096'];

export function validateProjected(projected: api.V1ProjectedVolumeSource, path: string): FieldError[] {
  const errors = validateFileMode(projected.defaultMode, `${path}.defaultMode`);
  const seen = new Set<string>();
  /** A second file of the same path is reported on the volume. */
  const claim = (file: string, culprit: string): FieldError[] => {
    if (seen.has(file)) return [invalid(path, culprit, 'conflicting duplicate paths')];
    seen.add(file);
    return [];
  };
  (projected.sources ?? []).forEach((source, i) => {
    const at = `${path}.sources[${i}]`;
    if (source.secret != null) errors.push(...validateKeys(source.secret, `${at}.secret`, claim));
    if (source.configMap != null) errors.push(...validateKeys(source.configMap, `${at}.configMap`, claim));
    for (const file of source.downwardAPI?.items ?? []) {
      errors.push(...validateDownwardFile(file, `${at}.downwardAPI`));
      if ((file.path ?? '') !== '') errors.push(...claim(file.path, file.path));
    }
    if (source.serviceAccountToken != null) errors.push(...validateToken(source.serviceAccountToken, path, `${at}.serviceAccountToken`));
    if (source.clusterTrustBundle != null) {
      errors.push(...validateTrustBundle(source.clusterTrustBundle, `${at}.clusterTrustBundle`));
      errors.push(...claim(source.clusterTrustBundle.path ?? '', source.clusterTrustBundle.path ?? ''));
    }
    if (source.podCertificate != null) errors.push(...validateCertificate(source.podCertificate, `${at}.podCertificate`, claim));
    const given = Object.values(source).filter((value) => value != null).length;
    if (given > 1) errors.push(forbiddenField(at, 'may not specify more than 1 volume type per source'));
  });
  return errors;
}

type Claim = (file: string, culprit: string) => FieldError[];

function validateKeys(source: api.V1SecretProjection | api.V1ConfigMapProjection, path: string, claim: Claim): FieldError[] {
  const name = source.name ?? '';
  const errors = name === '' ? [required(`${path}.name`)] : [];
  (source.items ?? []).forEach((item, i) => {
    errors.push(...validateKeyToPath(item, `${path}.items[${i}]`));
    if ((item.path ?? '') !== '') errors.push(...claim(item.path, name));
  });
  return errors;
}

function validateToken(token: api.V1ServiceAccountTokenProjection, volumePath: string, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const seconds = token.expirationSeconds ?? 0;
  const at = `${path}.expirationSeconds`;
  if (seconds < 600) errors.push(invalid(at, seconds, 'may not specify a duration less than 10 minutes'));
  if (seconds > 2 ** 32) errors.push(invalid(at, seconds, 'may not specify a duration larger than 2^32 seconds'));
  const file = token.path ?? '';
  return [...errors, ...(file === '' ? [required(`${volumePath}.path`)] : validateVolumeFilePath(file, `${volumePath}.path`))];
}

function validateTrustBundle(bundle: api.V1ClusterTrustBundleProjection, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { name, signerName } = bundle;
  if (name != null && signerName != null) {
    errors.push(invalid(path, bundle, 'only one of name and signerName may be used'));
  } else if (name != null) {
    if (name === '') errors.push(required(`${path}.name`, 'must be a valid object name'));
    const problems = nameRules['dns-subdomain'](name.replaceAll(':', '.'), false);
    errors.push(
      ...invalidEach(
        `${path}.name`,
        name,
        problems.map((text) => `not a valid clustertrustbundlename: ${text}`),
      ),
    );
    if (bundle.labelSelector != null) {
      errors.push(invalid(`${path}.labelSelector`, bundle.labelSelector, 'labelSelector must be unset if name is specified'));
    }
  } else if (signerName != null) {
    if (signerName === '') errors.push(required(`${path}.signerName`, 'must be a valid signer name'));
    errors.push(...validateSignerName(signerName, `${path}.signerName`));
    errors.push(...validateLabelSelector(bundle.labelSelector, `${path}.labelSelector`));
  } else {
    errors.push(required(path, 'either name or signerName must be specified'));
  }
  const file = bundle.path ?? '';
  if (file === '') errors.push(required(`${path}.path`));
  return [...errors, ...validateVolumeFilePath(file, `${path}.path`)];
}

function validateCertificate(certificate: api.V1PodCertificateProjection, path: string, claim: Claim): FieldError[] {
  const errors = validateSignerName(certificate.signerName ?? '', `${path}.signerName`);
  if (!keyTypes.includes(certificate.keyType ?? '')) errors.push(notSupported(`${path}.keyType`, certificate.keyType ?? '', keyTypes));
  const { credentialBundlePath = '', keyPath = '', certificateChainPath = '' } = certificate;
  if (credentialBundlePath === '' && keyPath === '' && certificateChainPath === '') {
    errors.push(required(path, 'specify at least one of credentialBundlePath, keyPath, and certificateChainPath'));
  }
  for (const [field, file] of Object.entries({ credentialBundlePath, keyPath, certificateChainPath })) {
    if (file === '') continue;
    errors.push(...validateVolumeFilePath(file, `${path}.${field}`), ...claim(file, file));
  }
  return errors;
}
