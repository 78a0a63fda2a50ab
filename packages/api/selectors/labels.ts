/**
 * Label selectors: the query form (`a=b,c in (d,e),!f,g>1`) and the object form (`matchLabels`, `matchExpressions`). Parsing is
 * strict and its errors are the texts clients know; matching does no allocation.
 */

import { quoteGo } from '../errors/field-error.ts';
import { badRequest } from '../errors/status-error.ts';
import type { V1LabelSelector } from '../generated/types.ts';
import { labelKeyErrors } from './label-syntax.ts';
import type { LabelOperator } from './requirement.ts';
import { Requirement, requirementError } from './requirement.ts';

/** A conjunction of requirements, sorted by key. Immutable. */
export class LabelSelector {
  readonly requirements: readonly Requirement[];
  readonly #nothing: boolean;

  constructor(requirements: readonly Requirement[], options: { readonly nothing?: boolean } = {}) {
    this.requirements = [...requirements].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
    this.#nothing = options.nothing === true;
  }

  /** True when every object matches. */
  get empty(): boolean {
    return !this.#nothing && this.requirements.length === 0;
  }

  matches(labels: Readonly<Record<string, string>> | undefined): boolean {
    if (this.#nothing) return false;
    const own = labels ?? NO_LABELS;
    for (const requirement of this.requirements) if (!requirement.matches(own)) return false;
    return true;
  }

  /** Canonical text; parses back to an equal selector. */
  toString(): string {
    return this.requirements.map(String).join(',');
  }
}

const NO_LABELS: Readonly<Record<string, string>> = {};

/** Matches every object. */
export const EVERYTHING = new LabelSelector([]);
/** Matches no object, not even one without labels. */
export const NOTHING = new LabelSelector([], { nothing: true });

/** Parses the query form; throws StatusError 400. Empty text matches everything. */
export function parseLabelSelector(text: string): LabelSelector {
  if (text === '') return EVERYTHING;
  return new LabelSelector(new Parser(scan(text)).requirements());
}

/** The object form. As upstream, an absent selector matches nothing and an empty one everything. Throws StatusError 400. */
export function fromLabelSelector(selector: V1LabelSelector | undefined | null): LabelSelector {
  if (selector === undefined || selector === null) return NOTHING;
  const requirements: Requirement[] = [];
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) requirements.push(checked(key, '=', [value]));
  for (const expression of selector.matchExpressions ?? []) {
    requirements.push(checked(expression.key, expressionOperator(expression.operator), expression.values ?? []));
  }
  return requirements.length === 0 ? EVERYTHING : new LabelSelector(requirements);
}

/** A selector that matches objects having all these labels. The labels are taken as valid. */
export function fromLabels(labels: Readonly<Record<string, string>>): LabelSelector {
  return new LabelSelector(Object.entries(labels).map(([key, value]) => new Requirement(key, '=', [value])));
}

function expressionOperator(operator: string): LabelOperator {
  switch (operator) {
    case 'In':
      return 'in';
    case 'NotIn':
      return 'notin';
    case 'Exists':
      return 'exists';
    case 'DoesNotExist':
      return '!';
    default:
      throw badRequest(`${quoteGo(operator)} is not a valid label selector operator`);
  }
}

function checked(key: string, operator: LabelOperator, values: readonly string[]): Requirement {
  const error = requirementError(key, operator, values);
  if (error !== undefined) throw badRequest(error);
  return new Requirement(key, operator, values);
}

type TokenKind = 'end' | 'identifier' | 'keyword' | 'symbol';

interface Token {
  readonly kind: TokenKind;
  readonly text: string;
}

const END: Token = { kind: 'end', text: '' };
const SYMBOLS: ReadonlySet<string> = new Set([')', ',', '!', '==', '=', '>', '<', '!=', '(']);
const BINARY_OPERATORS: readonly string[] = ['in', 'notin', '=', '==', '!=', 'gt', 'lt'];

function scan(text: string): Token[] {
  const tokens: Token[] = [];
  const end = text.includes('\0') ? text.indexOf('\0') : text.length;
  let at = 0;
  while (at < end) {
    const char = text[at] ?? '';
    if (isSpace(char)) {
      at += 1;
    } else if (isSymbol(char)) {
      const two = text.slice(at, Math.min(at + 2, end));
      const symbol = two.length === 2 && SYMBOLS.has(two) ? two : char;
      tokens.push({ kind: 'symbol', text: symbol });
      at += symbol.length;
    } else {
      const start = at;
      while (at < end && !isSpace(text[at] ?? '') && !isSymbol(text[at] ?? '')) at += 1;
      const word = text.slice(start, at);
      tokens.push({ kind: word === 'in' || word === 'notin' ? 'keyword' : 'identifier', text: word });
    }
  }
  tokens.push(END);
  return tokens;
}

function isSpace(char: string): boolean {
  return char === ' ' || char === '\t' || char === '\r' || char === '\n';
}

function isSymbol(char: string): boolean {
  return char === '=' || char === '!' || char === '(' || char === ')' || char === ',' || char === '>' || char === '<';
}

/** Recursive descent over the tokens. Keywords are identifiers except where an operator is expected. */
class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  requirements(): Requirement[] {
    const list: Requirement[] = [];
    for (;;) {
      const next = this.#peek();
      if (next.kind === 'end') return list;
      if (!startsRequirement(next)) throw badRequest(`found '${next.text}', expected: !, identifier, or 'end of string'`);
      list.push(this.#requirement());
      const separator = this.#take();
      if (separator.kind === 'end') return list;
      if (!isToken(separator, ',')) throw badRequest(`found '${separator.text}', expected: ',' or 'end of string'`);
      const following = this.#peek();
      if (!startsRequirement(following)) throw badRequest(`found '${following.text}', expected: identifier after ','`);
    }
  }

  #requirement(): Requirement {
    let token = this.#take();
    const negated = isToken(token, '!');
    if (negated) token = this.#take();
    if (!isWord(token)) throw cannotParse(`found '${token.text}', expected: identifier`);
    const key = token.text;
    const keyErrors = labelKeyErrors(key);
    if (keyErrors.length > 0) throw cannotParse(`<nil>: Invalid value: ${quoteGo(key)}: ${keyErrors.join('; ')}`);
    const next = this.#peek();
    if (negated) return this.#valid(key, '!', []);
    if (next.kind === 'end' || isToken(next, ',')) return this.#valid(key, 'exists', []);
    const operator = this.#operator();
    return this.#valid(key, operator, operator === 'in' || operator === 'notin' ? this.#valueSet() : [this.#exactValue()]);
  }

  #valid(key: string, operator: LabelOperator, values: readonly string[]): Requirement {
    const sorted = [...new Set(values)].sort();
    const error = requirementError(key, operator, sorted);
    if (error !== undefined) throw cannotParse(error);
    return new Requirement(key, operator, sorted);
  }

  #operator(): LabelOperator {
    const token = this.#take();
    if (token.kind === 'keyword') return token.text === 'in' ? 'in' : 'notin';
    if (token.kind === 'symbol') {
      switch (token.text) {
        case '=':
        case '==':
        case '!=':
          return token.text;
        case '>':
          return 'gt';
        case '<':
          return 'lt';
      }
    }
    throw cannotParse(`found '${token.text}', expected: ${BINARY_OPERATORS.join(', ')}`);
  }

  #exactValue(): string {
    const next = this.#peek();
    if (next.kind === 'end' || isToken(next, ',')) return '';
    const token = this.#take();
    if (isWord(token)) return token.text;
    throw cannotParse(`found '${token.text}', expected: identifier`);
  }

  #valueSet(): string[] {
    const open = this.#take();
    if (!isToken(open, '(')) throw cannotParse(`found '${open.text}' expected: '('`);
    const first = this.#peek();
    if (isToken(first, ')')) {
      this.#take();
      return [''];
    }
    if (!isWord(first) && !isToken(first, ',')) throw cannotParse(`found '${first.text}', expected: ',', ')' or identifier`);
    const values = this.#valueList();
    if (!isToken(this.#take(), ')')) throw cannotParse(`found '${first.text}', expected: ')'`);
    return values;
  }

  /** Values up to the closing parenthesis, which stays; nothing between two commas is the empty value. */
  #valueList(): string[] {
    const values: string[] = [];
    for (;;) {
      const token = this.#take();
      if (isWord(token)) {
        values.push(token.text);
        const next = this.#peek();
        if (isToken(next, ')')) return values;
        if (!isToken(next, ',')) throw cannotParse(`found '${next.text}', expected: ',' or ')'`);
      } else if (isToken(token, ',')) {
        if (values.length === 0) values.push('');
        const next = this.#peek();
        if (isToken(next, ')')) return [...values, ''];
        if (isToken(next, ',')) values.push('');
      } else {
        throw cannotParse(`found '${token.text}', expected: ',', or identifier`);
      }
    }
  }

  #peek(): Token {
    return this.#tokens[this.#at] ?? END;
  }

  #take(): Token {
    const token = this.#peek();
    this.#at += 1;
    return token;
  }
}

function isWord(token: Token): boolean {
  return token.kind === 'identifier' || token.kind === 'keyword';
}

function isToken(token: Token, symbol: string): boolean {
  return token.kind === 'symbol' && token.text === symbol;
}

function startsRequirement(token: Token): boolean {
  return isWord(token) || isToken(token, '!');
}

function cannotParse(detail: string): Error {
  return badRequest(`unable to parse requirement: ${detail}`);
}
