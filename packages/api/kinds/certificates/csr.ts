/** CertificateSigningRequest: a signed PEM request for a signer and some usages, decisions that are final, and the certificate. */

import type { FieldError } from '../../errors/field-error.ts';
import { duplicate, forbiddenField, invalid, notSupported, required } from '../../errors/field-error.ts';
import type {
  V1CertificateSigningRequest,
  V1CertificateSigningRequestCondition,
  V1CertificateSigningRequestSpec,
  V1CertificateSigningRequestStatus,
} from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { invalidEach } from '../../validation/object-meta.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { humanDuration, timeSince } from '../human-duration.ts';
import { ageColumn, fieldColumn, nameColumn } from '../table-columns.ts';
import { certificateProblem, certificateRequestProblem } from './certificate-request.ts';
import { validateSignerName } from './signer-name.ts';

const specStruct = 'io.k8s.api.certificates.v1.CertificateSigningRequestSpec';
const minExpirationSeconds = 600;
const usages = [
  'any',
  'cert sign',
  'client auth',
  'code signing',
  'content commitment',
  'crl sign',
  'data encipherment',
  'decipher only',
  'digital signature',
  'email protection',
  'encipher only',
  'ipsec end system',
  'ipsec tunnel',
  'ipsec user',
  'key agreement',
  'key encipherment',
  'microsoft sgc',
  'netscape sgc',
  'ocsp signing',
  's/mime',
  'server auth',
  'signing',
  'timestamping',
];

export const certificateSigningRequest = defineKind('certificates.k8s.io', 'certificatesigningrequests', {
  schema: 'io.k8s.api.certificates.v1.CertificateSigningRequest',
  nameSyntax: 'path-segment',
  validate,
  validateUpdate: validateConditionsKept,
  validateStatusUpdate: (object, old) => [...validate(object), ...validateConditionsKept(object, old)],
  updateOrder: ['meta', 'object', 'update', 'meta-update'],
  selectableFields: (object) => ({ 'spec.signerName': viewAs<V1CertificateSigningRequest>(object).spec?.signerName ?? '' }),
  hasStatus: true,
  table: {
    columns: [
      nameColumn,
      ageColumn,
      fieldColumn('SignerName', specStruct, 'signerName'),
      fieldColumn('Requestor', specStruct, 'username'),
      fieldColumn('RequestedDuration', specStruct, 'expirationSeconds'),
      fieldColumn('Condition', 'io.k8s.api.certificates.v1.CertificateSigningRequestStatus', 'conditions'),
    ],
    cells(object, now) {
      const { metadata, spec, status } = viewAs<V1CertificateSigningRequest>(object);
      return [
        metadata?.name ?? '',
        timeSince(metadata?.creationTimestamp, now),
        spec?.signerName || '<none>',
        spec?.username ?? '',
        spec?.expirationSeconds == null ? '<none>' : humanDuration(spec.expirationSeconds * 1000),
        conditionText(status ?? {}),
      ];
    },
  },
});

function validate(object: KubeObject): FieldError[] {
  const { spec, status } = viewAs<V1CertificateSigningRequest>(object);
  const { usages: wanted = [], signerName = '', expirationSeconds } = (spec ?? {}) as Partial<V1CertificateSigningRequestSpec>;
  const request = spec?.request ?? '';
  const errors = invalidEach('spec.request', request, compact(certificateRequestProblem(request)));
  if (wanted.length === 0) errors.push(required('spec.usages'));
  wanted.forEach((usage, i) => {
    if (!usages.includes(usage)) errors.push(notSupported(`spec.usages[${i}]`, usage, usages));
  });
  wanted.forEach((usage, i) => {
    if (wanted.indexOf(usage) < i) errors.push(duplicate(`spec.usages[${i}]`, usage));
  });
  if (signerName === 'kubernetes.io/legacy-unknown') {
    errors.push(invalid('spec.signerName', signerName, 'the legacy signerName is not allowed via this API version'));
  } else {
    errors.push(...validateSignerName(signerName, 'spec.signerName'));
  }
  if (expirationSeconds != null && expirationSeconds < minExpirationSeconds) {
    const detail = 'may not specify a duration less than 600 seconds (10 minutes)';
    errors.push(invalid('spec.expirationSeconds', expirationSeconds, detail));
  }
  const problems = compact(certificateProblem(status?.certificate ?? ''));
  return [...errors, ...validateConditions(status ?? {}), ...invalidEach('status.certificate', '<certificate data>', problems)];
}

function compact(problem: string | undefined): string[] {
  return problem === undefined ? [] : [problem];
}

function validateConditions(status: V1CertificateSigningRequestStatus): FieldError[] {
  const conditions = status.conditions ?? [];
  const errors: FieldError[] = [];
  const isBefore = (type: string, i: number): boolean => conditions.slice(0, i).some((condition) => condition.type === type);
  conditions.forEach((condition: Partial<V1CertificateSigningRequestCondition>, i) => {
    const { type = '', status: state = '' } = condition;
    const path = `status.conditions[${i}]`;
    if (type === '') errors.push(required(`${path}.type`));
    if (state === '') errors.push(required(`${path}.status`));
    else if (['Approved', 'Denied', 'Failed'].includes(type) && state !== 'True') {
      errors.push(notSupported(`${path}.status`, state, ['True']));
    } else if (!['True', 'False', 'Unknown'].includes(state)) {
      errors.push(notSupported(`${path}.status`, state, ['False', 'True', 'Unknown']));
    }
    if ((type === 'Approved' && isBefore('Denied', i)) || (type === 'Denied' && isBefore('Approved', i))) {
      errors.push(invalid(`${path}.type`, type, 'Approved and Denied conditions are mutually exclusive'));
    }
    if (isBefore(type, i)) errors.push(duplicate(`${path}.type`, type));
  });
  return errors;
}

/** A decision is final, and so is an issued certificate. */
function validateConditionsKept(object: KubeObject, old: KubeObject): FieldError[] {
  const errors = ['Approved', 'Denied', 'Failed'].flatMap((type) => {
    if (conditionsOf(old, type).length <= conditionsOf(object, type).length) return [];
    return [forbiddenField('status.conditions', `updates may not remove a condition of type ${JSON.stringify(type)}`)];
  });
  const certificate = viewAs<V1CertificateSigningRequest>(object).status?.certificate ?? '';
  const before = viewAs<V1CertificateSigningRequest>(old).status?.certificate ?? '';
  if (before !== '' && before !== certificate) {
    errors.push(forbiddenField('status.certificate', 'updates may not modify existing certificate content'));
  }
  return errors;
}

/** Who only signs does not decide: no condition that approves or denies is added. */
export function decisionErrors(object: KubeObject, old: KubeObject): FieldError[] {
  return ['Approved', 'Denied'].flatMap((type) => {
    if (conditionsOf(object, type).length <= conditionsOf(old, type).length) return [];
    return [forbiddenField('status.conditions', `updates may not add a condition of type ${JSON.stringify(type)}`)];
  });
}

function conditionsOf(object: KubeObject, type: string): readonly V1CertificateSigningRequestCondition[] {
  const { status } = viewAs<V1CertificateSigningRequest>(object);
  return (status?.conditions ?? []).filter((condition) => condition.type === type);
}

function conditionText(status: V1CertificateSigningRequestStatus): string {
  const has = (type: string): boolean => (status.conditions ?? []).some((condition) => condition.type === type);
  let text = has('Denied') ? 'Denied' : has('Approved') ? 'Approved' : 'Pending';
  if (has('Failed')) text += ',Failed';
  if ((status.certificate ?? '') !== '') text += ',Issued';
  return text;
}
