/**
 * Says why a text is not JSON, in the words of Go's `encoding/json`, which clients of Kubernetes see. The text may be a secret: the
 * message names at most one character of it. Positions are not reported.
 */

/** The first syntax error of `text`, or undefined when it is one JSON value. */
export function jsonSyntaxError(text: string): string | undefined {
  const scanner = new Scanner(text);
  return scanner.run();
}

/** As `jsonSyntaxError`, and the value must be an object (or null), as decoding into a Go map demands. */
export function jsonObjectError(text: string): string | undefined {
  const syntaxError = jsonSyntaxError(text);
  if (syntaxError !== undefined) return syntaxError;
  const first = text.trimStart().charAt(0);
  if (first === '{' || first === 'n') return undefined;
  const kind = first === '[' ? 'array' : first === '"' ? 'string' : first === 't' || first === 'f' ? 'bool' : 'number';
  return `json: cannot unmarshal ${kind} into Go value of type map[string]interface {}`;
}

const endOfInput = 'unexpected end of JSON input';
const maxDepth = 10_000;

class Scanner {
  readonly #chars: readonly string[];
  #at = 0;
  #error: string | undefined;

  constructor(text: string) {
    this.#chars = Array.from(text);
  }

  run(): string | undefined {
    if (!this.#value(0)) return this.#error;
    this.#space();
    const rest = this.#peek();
    return rest === undefined ? undefined : unexpected(rest, 'after top-level value');
  }

  #peek(): string | undefined {
    return this.#chars[this.#at];
  }

  #space(): void {
    while (' \t\r\n'.includes(this.#peek() ?? 'x')) this.#at++;
  }

  #fail(char: string | undefined, context: string): false {
    this.#error = char === undefined ? endOfInput : unexpected(char, context);
    return false;
  }

  #value(depth: number): boolean {
    this.#space();
    const char = this.#peek();
    if (depth > maxDepth) {
      this.#error = 'exceeded max depth';
      return false;
    }
    if (char === '{') return this.#object(depth);
    if (char === '[') return this.#array(depth);
    if (char === '"') return this.#string();
    if (char === '-' || (char !== undefined && isDigit(char))) return this.#number();
    if (char === 't') return this.#literal('true');
    if (char === 'f') return this.#literal('false');
    if (char === 'n') return this.#literal('null');
    return this.#fail(char, 'looking for beginning of value');
  }

  #object(depth: number): boolean {
    this.#at++;
    this.#space();
    if (this.#peek() === '}') {
      this.#at++;
      return true;
    }
    for (;;) {
      this.#space();
      if (this.#peek() !== '"') return this.#fail(this.#peek(), 'looking for beginning of object key string');
      if (!this.#string()) return false;
      this.#space();
      if (this.#peek() !== ':') return this.#fail(this.#peek(), 'after object key');
      this.#at++;
      if (!this.#value(depth + 1)) return false;
      this.#space();
      const char = this.#peek();
      if (char !== ',' && char !== '}') return this.#fail(char, 'after object key:value pair');
      this.#at++;
      if (char === '}') return true;
    }
  }

  #array(depth: number): boolean {
    this.#at++;
    this.#space();
    if (this.#peek() === ']') {
      this.#at++;
      return true;
    }
    for (;;) {
      if (!this.#value(depth + 1)) return false;
      this.#space();
      const char = this.#peek();
      if (char !== ',' && char !== ']') return this.#fail(char, 'after array element');
      this.#at++;
      if (char === ']') return true;
    }
  }

  #string(): boolean {
    this.#at++;
    for (;;) {
      const char = this.#peek();
      if (char === undefined || char < ' ') return this.#fail(char, 'in string literal');
      this.#at++;
      if (char === '"') return true;
      if (char === '\\' && !this.#escape()) return false;
    }
  }

  #escape(): boolean {
    const char = this.#peek();
    if (char === undefined || !'"\\/bfnrtu'.includes(char)) return this.#fail(char, 'in string escape code');
    this.#at++;
    if (char !== 'u') return true;
    for (let i = 0; i < 4; i++) {
      const digit = this.#peek();
      if (digit === undefined || !/^[0-9a-fA-F]$/.test(digit)) return this.#fail(digit, 'in \\u hexadecimal character escape');
      this.#at++;
    }
    return true;
  }

  #number(): boolean {
    if (this.#peek() === '-') this.#at++;
    if (this.#peek() === '0') this.#at++;
    else if (!this.#digits('in numeric literal')) return false;
    if (this.#peek() === '.') {
      this.#at++;
      if (!this.#digits('after decimal point in numeric literal')) return false;
    }
    if (this.#peek() === 'e' || this.#peek() === 'E') {
      this.#at++;
      if (this.#peek() === '+' || this.#peek() === '-') this.#at++;
      if (!this.#digits('in exponent of numeric literal')) return false;
    }
    return true;
  }

  #digits(context: string): boolean {
    const start = this.#at;
    while (isDigit(this.#peek() ?? '')) this.#at++;
    return this.#at > start || this.#fail(this.#peek(), context);
  }

  #literal(word: string): boolean {
    this.#at++;
    for (const expected of word.slice(1)) {
      const char = this.#peek();
      if (char !== expected) return this.#fail(char, `in literal ${word} (expecting '${expected}')`);
      this.#at++;
    }
    return true;
  }
}

function isDigit(char: string): boolean {
  return char >= '0' && char <= '9' && char.length === 1;
}

function unexpected(char: string, context: string): string {
  return `invalid character ${quoteChar(char)} ${context}`;
}

function quoteChar(char: string): string {
  if (char === "'") return "'\\''";
  if (char === '"') return `'"'`;
  const code = char.codePointAt(0) ?? 0;
  const named: Readonly<Record<number, string>> = { 7: '\\a', 8: '\\b', 9: '\\t', 10: '\\n', 11: '\\v', 12: '\\f', 13: '\\r', 92: '\\\\' };
  const short = named[code];
  if (short !== undefined) return `'${short}'`;
  if (code < 0x20 || code === 0x7f) return `'\\x${code.toString(16).padStart(2, '0')}'`;
  return `'${char}'`;
}
