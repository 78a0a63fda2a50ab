import { randomBytes } from 'node:crypto';
import { StatusError } from '@coffer/api/errors/status-error';
import { type GroupResource, qualifiedResource } from '@coffer/api/meta/object';

/** Names for `metadata.generateName`: the base, cut to fit a DNS label, and five characters without vowels and look-alikes. */
const alphabet = 'bcdfghjklmnpqrstvwxz2456789';
const suffixLength = 5;
const maxBaseLength = 63 - suffixLength;

/** How often a create tries another suffix before it gives up. */
export const maxNameAttempts = 8;

export function generateName(base: string): string {
  return (base.length > maxBaseLength ? base.slice(0, maxBaseLength) : base) + randomSuffix(suffixLength);
}

/** Characters that cannot form words or be confused with each other. */
export function randomSuffix(length: number): string {
  let suffix = '';
  while (suffix.length < length) {
    for (const byte of randomBytes(length)) {
      // 243 is the largest multiple of the alphabet's size: beyond it the choice would not be uniform.
      if (byte < 243 && suffix.length < length) suffix += alphabet[byte % alphabet.length];
    }
  }
  return suffix;
}

/** All attempts collided: the client should try again later. */
export function generateNameConflict(gr: GroupResource, name: string): StatusError {
  const text = `${qualifiedResource(gr)} ${JSON.stringify(name)} already exists, the server was not able to generate a unique name for the object`;
  return new StatusError(409, 'AlreadyExists', text, {
    name,
    ...(gr.group === '' ? {} : { group: gr.group }),
    kind: gr.resource,
    retryAfterSeconds: 1,
  });
}
