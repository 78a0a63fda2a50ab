import type { FieldError } from '../errors/field-error.ts';
import { formatFieldError, invalid, notSupported } from '../errors/field-error.ts';
import { labelKeyErrors, labelValueErrors } from './label-syntax.ts';

/** How a requirement compares the label with its values. `Equals` prints as `=`, `DoubleEquals` as `==`; both mean the same. */
export type LabelOperator = 'in' | 'notin' | '=' | '==' | '!=' | 'gt' | 'lt' | 'exists' | '!';

/** Order in which an unsupported operator lists the valid ones. */
const OPERATORS: readonly LabelOperator[] = ['in', 'notin', '=', '==', '!=', 'gt', 'lt', 'exists', '!'];

const INTEGER = /^[+-]?[0-9]+$/;
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/** One condition on one label. Immutable; `values` are sorted and unique. */
export class Requirement {
  readonly key: string;
  readonly operator: LabelOperator;
  readonly values: readonly string[];
  readonly #set: ReadonlySet<string> | undefined;
  readonly #bound: bigint | undefined;

  constructor(key: string, operator: LabelOperator, values: readonly string[]) {
    this.key = key;
    this.operator = operator;
    this.values = [...new Set(values)].sort();
    this.#set = this.values.length > 8 ? new Set(this.values) : undefined;
    this.#bound = operator === 'gt' || operator === 'lt' ? parseInt64(this.values[0] ?? '') : undefined;
  }

  matches(labels: Readonly<Record<string, string>>): boolean {
    const value = Object.hasOwn(labels, this.key) ? labels[this.key] : undefined;
    switch (this.operator) {
      case 'exists':
        return value !== undefined;
      case '!':
        return value === undefined;
      case '=':
      case '==':
      case 'in':
        return value !== undefined && this.#has(value);
      case '!=':
      case 'notin':
        return value === undefined || !this.#has(value);
      case 'gt':
      case 'lt': {
        const actual = value === undefined ? undefined : parseInt64(value);
        if (actual === undefined || this.#bound === undefined) return false;
        return this.operator === 'gt' ? actual > this.#bound : actual < this.#bound;
      }
    }
  }

  /** Canonical text: `a=b`, `a in (b,c)`, `!a`. */
  toString(): string {
    const list = this.values.join(',');
    switch (this.operator) {
      case 'exists':
        return this.key;
      case '!':
        return `!${this.key}`;
      case 'in':
      case 'notin':
        return `${this.key} ${this.operator} (${list})`;
      case 'gt':
        return `${this.key}>${list}`;
      case 'lt':
        return `${this.key}<${list}`;
      default:
        return `${this.key}${this.operator}${list}`;
    }
  }

  #has(value: string): boolean {
    return this.#set === undefined ? this.values.includes(value) : this.#set.has(value);
  }
}

/** What is wrong with a requirement, as one text; undefined when it is valid. */
export function requirementError(key: string, operator: string, values: readonly string[]): string | undefined {
  const errors: FieldError[] = [];
  const keyError = labelKeyErrors(key).join('; ');
  if (keyError !== '') errors.push(invalid('key', key, keyError));
  switch (operator) {
    case 'in':
    case 'notin':
      if (values.length === 0) errors.push(invalid('values', [], "for 'in', 'notin' operators, values set can't be empty"));
      break;
    case '=':
    case '==':
    case '!=':
      if (values.length !== 1) errors.push(invalid('values', values, 'exact-match compatibility requires one single value'));
      break;
    case 'exists':
    case '!':
      if (values.length !== 0) errors.push(invalid('values', values, 'values set must be empty for exists and does not exist'));
      break;
    case 'gt':
    case 'lt':
      if (values.length !== 1) errors.push(invalid('values', values, "for 'Gt', 'Lt' operators, exactly one value is required"));
      values.forEach((value, i) => {
        if (parseInt64(value) === undefined) {
          errors.push(invalid(`values[${i}]`, value, "for 'Gt', 'Lt' operators, the value must be an integer"));
        }
      });
      break;
    default:
      errors.push(notSupported('operator', operator, OPERATORS));
  }
  values.forEach((value, i) => {
    const valueError = labelValueErrors(value).join('; ');
    if (valueError !== '') errors.push(invalid(`values[${i}][${key}]`, value, valueError));
  });
  if (errors.length === 0) return undefined;
  const texts = [...new Set(errors.map(formatFieldError))];
  return texts.length === 1 ? texts[0] : `[${texts.join(', ')}]`;
}

function parseInt64(text: string): bigint | undefined {
  if (!INTEGER.test(text)) return undefined;
  const value = BigInt(text.startsWith('+') ? text.slice(1) : text);
  return value < INT64_MIN || value > INT64_MAX ? undefined : value;
}
