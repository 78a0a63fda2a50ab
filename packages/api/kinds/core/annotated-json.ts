/** What the first versions of Kubernetes kept as JSON in annotations. Nothing reads it; it is still checked. */

import { JsonSyntaxError, parseJson } from '../../codec/json-text.ts';
import type { FieldError } from '../../errors/field-error.ts';
import { invalid } from '../../errors/field-error.ts';
import { getOwn, isRecord } from '../../meta/safe-object.ts';

export interface AnnotatedJson {
  readonly key: string;
  /** What Go calls the type of the value. */
  readonly type: string;
  /** Where the annotation is reported when it is no such value. */
  readonly path: string;
}

type Annotations = Readonly<Record<string, string>>;
type Check<T> = (value: T) => readonly FieldError[];

/** The errors of the list in that annotation; none when there is no such annotation, or an empty one. */
export function checkAnnotatedList(
  annotations: Annotations,
  what: AnnotatedJson,
  check: Check<readonly Readonly<Record<string, unknown>>[]>,
): readonly FieldError[] {
  return checkJson(annotations, what, (value) => {
    if (!Array.isArray(value)) return [mistyped(value, what)];
    return check(value.map((item) => (isRecord(item) ? withTexts(item) : {})));
  });
}

/** The same of an object. */
export function checkAnnotatedObject(
  annotations: Annotations,
  what: AnnotatedJson,
  check: Check<Readonly<Record<string, unknown>>>,
): readonly FieldError[] {
  return checkJson(annotations, what, (value) => (isRecord(value) ? check(value) : [mistyped(value, what)]));
}

function checkJson(annotations: Annotations, { key, path }: AnnotatedJson, check: Check<unknown>): readonly FieldError[] {
  const text = getOwn(annotations, key) ?? '';
  if (text === '') return [];
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    return [invalid(path, key, error.message)];
  }
  return value === null ? [] : check(value);
}

function mistyped(value: unknown, { key, type, path }: AnnotatedJson): FieldError {
  const kind = Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value;
  return invalid(path, key, `json: cannot unmarshal ${kind} into Go value of type ${type}`);
}

/** What should be text and is not counts as missing. */
function withTexts(item: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const texts = ['key', 'operator', 'value', 'effect'];
  return Object.fromEntries(Object.entries(item).filter(([name, value]) => !texts.includes(name) || typeof value === 'string'));
}
