/** Conditions in a status, as kinds with the common form of conditions have them. */

import type { FieldError } from '../errors/field-error.ts';
import { duplicate, invalid, notSupported, required, tooLong } from '../errors/field-error.ts';
import type { V1Condition } from '../generated/types.ts';
import { byteLength, qualifiedNameProblems, regexText } from './names.ts';
import { invalidEach } from './object-meta.ts';

const states = ['False', 'True', 'Unknown'];
const maxReasonBytes = 1024;
const maxMessageBytes = 32 * 1024;
const reasonFormat = '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?';
const reasonSyntax = new RegExp(`^${reasonFormat}$`);

/** Each type once, and each condition complete. */
export function validateConditions(conditions: readonly V1Condition[], path: string): FieldError[] {
  const seen = new Set<string>();
  return conditions.flatMap((condition, i) => {
    const at = `${path}[${i}]`;
    const type = condition.type ?? '';
    const repeated = seen.has(type) ? [duplicate(`${at}.type`, type)] : [];
    seen.add(type);
    return [...repeated, ...validateCondition(condition, at)];
  });
}

function validateCondition(condition: Partial<V1Condition>, path: string): FieldError[] {
  const { type = '', status = '', observedGeneration = 0, reason = '', message = '' } = condition;
  const errors = invalidEach(`${path}.type`, type, qualifiedNameProblems(type));
  if (!states.includes(status)) errors.push(notSupported(`${path}.status`, status, states));
  if (observedGeneration < 0) {
    errors.push(invalid(`${path}.observedGeneration`, observedGeneration, 'must be greater than or equal to zero'));
  }
  if (condition.lastTransitionTime == null) errors.push(required(`${path}.lastTransitionTime`, 'must be set'));
  if (reason === '') errors.push(required(`${path}.reason`, 'must be set'));
  else errors.push(...invalidEach(`${path}.reason`, reason, reasonProblems(reason)));
  if (byteLength(reason) > maxReasonBytes) errors.push(tooLong(`${path}.reason`, maxReasonBytes));
  if (byteLength(message) > maxMessageBytes) errors.push(tooLong(`${path}.message`, maxMessageBytes));
  return errors;
}

function reasonProblems(reason: string): string[] {
  if (reasonSyntax.test(reason)) return [];
  const description =
    "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'";
  return [regexText(description, reasonFormat, 'my_name', 'MY_NAME', 'MyName', 'ReasonA,ReasonB', 'ReasonA:ReasonB')];
}
