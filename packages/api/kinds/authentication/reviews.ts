/** Questions about who somebody is, and requests for tokens. They are answered, not stored. */

import type { FieldError } from '../../errors/field-error.ts';
import { invalid } from '../../errors/field-error.ts';
import type { AuthenticationV1TokenRequest } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { isRecord } from '../../meta/safe-object.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { createdTable } from '../table-columns.ts';

const group = 'authentication.k8s.io';
const maxTokenSeconds = 2 ** 32;
const minTokenSeconds = 600;

export const tokenReview = defineKind(group, 'tokenreviews', {
  schema: 'io.k8s.api.authentication.v1.TokenReview',
  nameSyntax: 'path-segment',
  metaChecks: 'none',
  table: createdTable,
});

export const selfSubjectReview = defineKind(group, 'selfsubjectreviews', {
  schema: 'io.k8s.api.authentication.v1.SelfSubjectReview',
  nameSyntax: 'path-segment',
  metaChecks: 'none',
  table: createdTable,
});

/** Body of `POST serviceaccounts/NAME/token`: an hour unless said otherwise. */
export function applyTokenRequestDefaults(object: KubeObject): void {
  if (!isRecord(object.spec)) object.spec = {};
  (object.spec as Record<string, unknown>).expirationSeconds ??= 3600;
}

export function validateTokenRequest(object: KubeObject): FieldError[] {
  const seconds = viewAs<AuthenticationV1TokenRequest>(object).spec?.expirationSeconds ?? 0;
  const path = 'spec.expirationSeconds';
  if (seconds < minTokenSeconds) return [invalid(path, seconds, 'may not specify a duration less than 10 minutes')];
  return seconds > maxTokenSeconds ? [invalid(path, seconds, 'may not specify a duration larger than 2^32 seconds')] : [];
}
