/** Rules for paths inside volumes: relative, and never upwards. */

import type { FieldError } from '../../../errors/field-error.ts';
import { invalid } from '../../../errors/field-error.ts';

const fileModeText = 'must be a number between 0 and 0777 (octal), both inclusive';

export function validateFileMode(mode: number | undefined, path: string): FieldError[] {
  return mode != null && (mode > 0o777 || mode < 0) ? [invalid(path, mode, fileModeText)] : [];
}

/** No element of the path is `..`. */
export function validateNoBacksteps(target: string, path: string): FieldError[] {
  return target.split('/').includes('..') ? [invalid(path, target, "must not contain '..'")] : [];
}

/** Relative, without `..` as an element. */
export function validateDescendingPath(target: string, path: string): FieldError[] {
  const errors = target.startsWith('/') ? [invalid(path, target, 'must be a relative path')] : [];
  return [...errors, ...validateNoBacksteps(target, path)];
}

/** As `validateDescendingPath`, and not beginning with `..`, which the volume uses itself. */
export function validateVolumeFilePath(target: string, path: string): FieldError[] {
  const errors = validateDescendingPath(target, path);
  if (target.startsWith('..') && !target.startsWith('../')) errors.push(invalid(path, target, "must not start with '..'"));
  return errors;
}
