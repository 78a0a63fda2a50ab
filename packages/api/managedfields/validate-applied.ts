/** Checks an applied configuration against the schema, in the words in which upstream refuses it. */
import { isRecord } from '../meta/safe-object.ts';
import { formatGoValue, goTypeOf } from '../patch/go-format.ts';
import type { MergeType, ScalarType } from './merge-type.ts';
import { itemElement } from './merge-type.ts';
import type { PathElement } from './path-element.ts';
import { fieldElement, formatElement, formatPath } from './path-element.ts';

/** What is wrong, as one text; undefined when the configuration fits the schema. */
export function appliedErrors(type: MergeType, value: unknown): string | undefined {
  const errors: string[] = [];
  check(type, value, [], errors);
  if (errors.length <= 1) return errors[0];
  return ['errors:', ...errors.map((error) => `  ${error}`)].join('\n');
}

function check(type: MergeType, value: unknown, path: PathElement[], errors: string[]): void {
  const report = (message: string): void => {
    errors.push(path.length === 0 ? message : `${formatPath(path)}: ${message}`);
  };
  if (value === null || value === undefined) return;
  switch (type.kind) {
    case 'scalar': {
      const message = scalarError(type, value);
      if (message !== undefined) report(message);
      return;
    }
    case 'deduced':
      return;
    case 'list':
      if (!Array.isArray(value)) report(`expected list, got ${quoted(value)}`);
      else checkItems(type, value as unknown[], path, errors, report);
      return;
    case 'struct':
    case 'map':
      if (!isRecord(value)) {
        report(`expected map, got ${quoted(value)}`);
        return;
      }
      for (const key of Object.keys(value)) {
        const memberType = type.kind === 'map' ? type.value : type.field(key)?.type;
        path.push(fieldElement(key));
        if (memberType !== undefined) check(memberType, value[key], path, errors);
        else errors.push(`${formatPath(path)}: field not declared in schema`);
        path.pop();
        if (memberType === undefined) return;
      }
  }
}

function checkItems(
  type: MergeType & { kind: 'list' },
  items: readonly unknown[],
  path: PathElement[],
  errors: string[],
  report: (message: string) => void,
): void {
  const seen = new Set<PathElement>();
  for (const [i, item] of items.entries()) {
    let element: PathElement = `i:${i}`;
    if (type.relationship !== 'atomic') {
      const name = itemElement(type, item);
      if (name instanceof Error) {
        report(`element ${i}: ${name.message}`);
        return;
      }
      element = name;
      if (seen.has(element)) report(`duplicate entries for key ${formatElement(element)}`);
      seen.add(element);
    }
    path.push(element);
    check(type.element, item, path, errors);
    path.pop();
  }
}

function scalarError(type: ScalarType, value: unknown): string | undefined {
  switch (type.scalar) {
    case 'numeric':
      return typeof value === 'number' ? undefined : `expected numeric (int or float), got ${goTypeOf(value)}`;
    case 'string':
      return typeof value === 'string' ? undefined : `expected string, got &value.valueUnstructured{Value:${goSyntax(value)}}`;
    case 'boolean':
      return typeof value === 'boolean' ? undefined : `expected boolean, got ${quoted(value)}`;
    case 'untyped':
      return typeof value === 'object' ? `expected any scalar, got ${quoted(value)}` : undefined;
  }
}

/** As Go prints the wrapped value with `%v`. */
function quoted(value: unknown): string {
  return `&{${formatGoValue(value)}}`;
}

/** As Go prints the value with `%#v`. */
function goSyntax(value: unknown): string {
  if (value === null || value === undefined) return 'interface {}(nil)';
  if (typeof value === 'string') return JSON.stringify(value);
  if (Array.isArray(value)) return `[]interface {}{${value.map(goSyntax).join(', ')}}`;
  if (!isRecord(value)) return JSON.stringify(value);
  const members = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${goSyntax(value[key])}`);
  return `map[string]interface {}{${members.join(', ')}}`;
}
