/**
 * JSON text → values, with the errors of Go's `encoding/json`. Two readers: `JSON.parse` for the usual case, and an exact one that
 * keeps what `JSON.parse` loses (repeated keys, how a number was written) and knows Go's error messages. Lone surrogates become
 * U+FFFD, as in Go. Nesting is limited, so that later walks may recurse.
 */

const loneSurrogates = /\p{Surrogate}/gu;

/** Deepest nesting of objects and lists that is accepted. */
export const maxJsonDepth = 1000;

/** The text is not JSON. The message is Go's, without prefix or position. */
export class JsonSyntaxError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'JsonSyntaxError';
  }
}

/** A number that is not a plain integer within JavaScript's exact range, as it was written. Only the exact reader makes them. */
export class NumberLiteral {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** Keys of objects that repeat one, in document order with the repetitions; objects without repetitions are not in it. */
export type KeySequences = ReadonlyMap<object, readonly string[]>;

export interface ExactJson {
  readonly value: unknown;
  readonly sequences: KeySequences;
}

/** Reads JSON as `JSON.parse` does. Throws JsonSyntaxError. */
export function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Throws Go's message for whatever JSON.parse did not like.
    return plainNumbers(parseJsonExactly(text).value);
  }
  if (needsExactStrings(text)) return plainNumbers(parseJsonExactly(text).value);
  measureJson(value);
  return value;
}

/** True when an escape may stand for a lone surrogate, which only the exact reader replaces. */
export function needsExactStrings(text: string): boolean {
  return text.includes('\\u') && /\\u[dD][89a-fA-F]/.test(text);
}

/** Number of keys in all objects of a JSON value. Throws JsonSyntaxError when it is nested too deeply. */
export function measureJson(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let keys = 0;
  let level: object[] = [value];
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > maxJsonDepth) throw new JsonSyntaxError('exceeded max depth');
    const next: object[] = [];
    for (const container of level) {
      if (Array.isArray(container)) {
        for (const item of container) if (typeof item === 'object' && item !== null) next.push(item);
      } else {
        const names = Object.keys(container);
        keys += names.length;
        for (const name of names) {
          const item = (container as Record<string, unknown>)[name];
          if (typeof item === 'object' && item !== null) next.push(item);
        }
      }
    }
    level = next;
  }
  return keys;
}

/** Number of strings of a valid JSON text that are followed by a colon: its keys, repetitions included. */
export function countKeys(text: string): number {
  let keys = 0;
  let at = text.indexOf('"');
  while (at >= 0) {
    let end = text.indexOf('"', at + 1);
    while (end >= 0 && escaped(text, end)) end = text.indexOf('"', end + 1);
    if (end < 0) return keys;
    let after = end + 1;
    while (isSpace(text.charCodeAt(after))) after++;
    if (text.charCodeAt(after) === COLON) keys++;
    at = text.indexOf('"', after);
  }
  return keys;
}

/** Reads JSON keeping repeated keys (the last value wins) and unusual numbers. Throws JsonSyntaxError. */
export function parseJsonExactly(text: string): ExactJson {
  const reader = new ExactReader(text);
  return { value: reader.document(), sequences: reader.sequences };
}

/** A value of the exact reader with its number literals made numbers. */
export function plainNumbers(value: unknown): unknown {
  if (value instanceof NumberLiteral) return Number(value.text);
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = plainNumbers(value[i]);
  } else if (typeof value === 'object' && value !== null) {
    for (const key of Object.keys(value)) {
      const item = (value as Record<string, unknown>)[key];
      if (typeof item === 'object' && item !== null) setKey(value as Record<string, unknown>, key, plainNumbers(item));
    }
  }
  return value;
}

const COLON = 58;
const QUOTE = 34;
const BACKSLASH = 92;
const MINUS = 45;

/** True when the quote at `at` is escaped: an odd number of backslashes stands before it. */
function escaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes++;
  return backslashes % 2 === 1;
}

function isSpace(code: number): boolean {
  return code === 32 || code === 10 || code === 13 || code === 9;
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function setKey(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__') Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  else object[key] = value;
}

class ExactReader {
  readonly sequences = new Map<object, string[]>();
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): unknown {
    const value = this.#value();
    this.#space();
    if (this.#at < this.#text.length) this.#fail('after top-level value');
    return value;
  }

  #space(): void {
    while (isSpace(this.#text.charCodeAt(this.#at))) this.#at++;
  }

  #fail(context: string): never {
    const code = this.#text.codePointAt(this.#at);
    if (code === undefined) throw new JsonSyntaxError('unexpected end of JSON input');
    throw new JsonSyntaxError(`invalid character ${quoteByte(firstByte(code))} ${context}`);
  }

  #value(): unknown {
    this.#space();
    const char = this.#text[this.#at];
    switch (char) {
      case '{':
        return this.#nested(() => this.#object());
      case '[':
        return this.#nested(() => this.#list());
      case '"':
        return this.#string();
      case 't':
        return this.#word('true', true);
      case 'f':
        return this.#word('false', false);
      case 'n':
        return this.#word('null', null);
      default:
        if (char === '-' || isDigit(this.#text.charCodeAt(this.#at))) return this.#number();
        return this.#fail('looking for beginning of value');
    }
  }

  #nested<T>(read: () => T): T {
    if (++this.#depth > maxJsonDepth) throw new JsonSyntaxError('exceeded max depth');
    this.#at++;
    const value = read();
    this.#depth--;
    return value;
  }

  #object(): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    const keys: string[] = [];
    let repeated = false;
    this.#space();
    if (this.#take('}')) return object;
    for (;;) {
      this.#space();
      if (this.#text.charCodeAt(this.#at) !== QUOTE) this.#fail('looking for beginning of object key string');
      const key = this.#string();
      this.#space();
      if (!this.#take(':')) this.#fail('after object key');
      const value = this.#value();
      repeated ||= Object.hasOwn(object, key);
      keys.push(key);
      setKey(object, key, value);
      this.#space();
      if (this.#take(',')) continue;
      if (!this.#take('}')) this.#fail('after object key:value pair');
      if (repeated) this.sequences.set(object, keys);
      return object;
    }
  }

  #list(): unknown[] {
    const list: unknown[] = [];
    this.#space();
    if (this.#take(']')) return list;
    for (;;) {
      list.push(this.#value());
      this.#space();
      if (this.#take(',')) continue;
      if (!this.#take(']')) this.#fail('after array element');
      return list;
    }
  }

  #take(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #string(): string {
    const start = this.#at++;
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      // NaN (the end) and control characters are refused alike.
      if (!(code >= 0x20)) this.#fail('in string literal');
      this.#at++;
      if (code === QUOTE) break;
      if (code === BACKSLASH) this.#escape();
    }
    return (JSON.parse(this.#text.slice(start, this.#at)) as string).replace(loneSurrogates, '\ufffd');
  }

  #escape(): void {
    const char = this.#text[this.#at];
    if (char === undefined || !'"\\/bfnrtu'.includes(char)) this.#fail('in string escape code');
    this.#at++;
    if (char !== 'u') return;
    for (let i = 0; i < 4; i++, this.#at++) {
      if (!/[0-9a-fA-F]/.test(this.#text[this.#at] ?? '')) this.#fail('in \\u hexadecimal character escape');
    }
  }

  #number(): number | NumberLiteral {
    const start = this.#at;
    let plain = true;
    if (this.#text.charCodeAt(this.#at) === MINUS) this.#at++;
    if (!this.#take('0')) this.#digits('in numeric literal');
    if (this.#take('.')) {
      plain = false;
      this.#digits('after decimal point in numeric literal');
    }
    if (this.#take('e') || this.#take('E')) {
      plain = false;
      if (!this.#take('+')) this.#take('-');
      this.#digits('in exponent of numeric literal');
    }
    const text = this.#text.slice(start, this.#at);
    const value = Number(text);
    return plain && Number.isSafeInteger(value) ? value : new NumberLiteral(text);
  }

  #digits(context: string): void {
    if (!isDigit(this.#text.charCodeAt(this.#at))) this.#fail(context);
    while (isDigit(this.#text.charCodeAt(this.#at))) this.#at++;
  }

  #word<T>(word: string, value: T): T {
    for (let i = 1; i < word.length; i++) {
      this.#at++;
      if (this.#text[this.#at] !== word[i]) this.#fail(`in literal ${word} (expecting '${word[i]}')`);
    }
    this.#at++;
    return value;
  }
}

/** Go reads bytes: a character beyond ASCII shows up as the first byte of its UTF-8 form. */
function firstByte(code: number): number {
  if (code < 0x80) return code;
  if (code < 0x800) return 0xc0 | (code >> 6);
  if (code < 0x10000) return 0xe0 | (code >> 12);
  return 0xf0 | (code >> 18);
}

const namedEscapes: Readonly<Record<number, string>> = {
  7: '\\a',
  8: '\\b',
  9: '\\t',
  10: '\\n',
  11: '\\v',
  12: '\\f',
  13: '\\r',
  34: '"',
  39: "\\'",
  92: '\\\\',
};

function quoteByte(byte: number): string {
  const named = namedEscapes[byte];
  if (named !== undefined) return `'${named}'`;
  if (byte < 0x20 || byte === 0x7f) return `'\\x${byte.toString(16).padStart(2, '0')}'`;
  if (byte >= 0x80 && (byte <= 0xa0 || byte === 0xad)) return `'\\u${byte.toString(16).padStart(4, '0')}'`;
  return `'${String.fromCharCode(byte)}'`;
}
