/** Pull policies of images, for containers and image volumes. */

import type { FieldError } from '../../../errors/field-error.ts';
import { notSupported, required } from '../../../errors/field-error.ts';

const policies = ['Always', 'IfNotPresent', 'Never'];

export function validatePullPolicy(policy: string | undefined, path: string): FieldError[] {
  if (policy == null || policy === '') return [required(path)];
  return policies.includes(policy) ? [] : [notSupported(path, policy, policies)];
}

/** `Always` for the tag `latest` (also when there is neither tag nor digest), else `IfNotPresent`. */
export function defaultPullPolicy(image: string): string {
  if (image.includes('@')) {
    const tagged = image.slice(0, image.indexOf('@'));
    return tagOf(tagged) === 'latest' ? 'Always' : 'IfNotPresent';
  }
  return (tagOf(image) ?? 'latest') === 'latest' ? 'Always' : 'IfNotPresent';
}

function tagOf(image: string): string | undefined {
  const last = image.slice(image.lastIndexOf('/') + 1);
  const colon = last.indexOf(':');
  return colon < 0 ? undefined : last.slice(colon + 1);
}
