import { isRecord } from '@coffer/api/meta/safe-object';

/** Readers of the fields of a configuration file. What does not fit is an error that names the field as `at`. */

export function recordField(value: unknown, at: string): Record<string, unknown> {
  if (!isRecord(value)) throw new Error(`${at}: expected an object`);
  return value;
}

/** Empty when there is none. */
export function listField(value: unknown, at: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new Error(`${at}: expected a list`);
  return value;
}

/** Undefined when there is none, or an empty one. */
export function optionalText(value: unknown, at: string): string | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw new Error(`${at}: expected a string`);
  return value;
}

export function requiredText(value: unknown, at: string): string {
  const text = optionalText(value, at);
  if (text === undefined) throw new Error(`${at}: required`);
  return text;
}

export function onlyFields(object: Record<string, unknown>, known: readonly string[], at: string): void {
  const unknown = Object.keys(object).find((key) => !known.includes(key));
  if (unknown !== undefined) throw new Error(`${at}: unknown field ${JSON.stringify(unknown)}`);
}
