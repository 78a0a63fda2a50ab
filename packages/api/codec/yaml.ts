import { needsQuotes } from './yaml-scalar.ts';

/**
 * JSON data as YAML, as the API server and kubectl print it: block style, sorted keys, lists not indented, long text folded at
 * 80 columns, text with line breaks as literal blocks. Only what JSON can hold: no anchors, no tags.
 */
export function toYaml(value: unknown): string {
  const writer = new YamlWriter();
  writer.node(value, { indent: -indentStep, inMapping: false });
  return writer.finish();
}

const indentStep = 2;
const bestWidth = 80;
const maxSimpleKeyBytes = 128;

interface Position {
  /** Indentation of the container the node is in; one step below zero for the document. */
  readonly indent: number;
  readonly inMapping: boolean;
}

class YamlWriter {
  readonly #parts: string[] = [];
  #column = 0;
  /** The last character is a space or a line break, or there is none. */
  #spaced = true;
  /** The cursor stands right behind `- `: the first key of a mapping may follow there. */
  #behindDash = false;

  finish(): string {
    if (this.#column > 0) this.#parts.push('\n');
    return this.#parts.join('');
  }

  node(value: unknown, at: Position): void {
    if (Array.isArray(value)) this.#list(value, at);
    else if (typeof value === 'object' && value !== null) this.#mapping(value as Readonly<Record<string, unknown>>, at);
    else this.#scalar(value, at.indent + indentStep);
  }

  #put(text: string): void {
    if (text === '') return;
    this.#parts.push(text);
    const lineBreak = text.lastIndexOf('\n');
    this.#column = lineBreak < 0 ? this.#column + width(text) : width(text.slice(lineBreak + 1));
    this.#spaced = text.endsWith(' ') || text.endsWith('\n');
    this.#behindDash = false;
  }

  /** Starts a line at an indentation, unless the cursor stands right there behind `- `. */
  #line(indent: number): void {
    if (this.#behindDash && this.#column === indent) return;
    this.#put(`${this.#column === 0 ? '' : '\n'}${' '.repeat(indent)}`);
  }

  /** A space between an indicator and what follows, where none is yet. */
  #space(): void {
    if (!this.#spaced) this.#put(' ');
  }

  #list(items: readonly unknown[], at: Position): void {
    if (items.length === 0) {
      this.#space();
      this.#put('[]');
      return;
    }
    // Lists in mappings stand at the indentation of their key.
    const indent = at.inMapping ? at.indent : at.indent + indentStep;
    for (const item of items) {
      this.#line(indent);
      this.#put('- ');
      this.#behindDash = true;
      this.node(item, { indent, inMapping: false });
    }
  }

  #mapping(object: Readonly<Record<string, unknown>>, at: Position): void {
    const keys = Object.keys(object).sort(compareKeys);
    if (keys.length === 0) {
      this.#space();
      this.#put('{}');
      return;
    }
    const indent = at.indent + indentStep;
    for (const key of keys) {
      this.#line(indent);
      if (Buffer.byteLength(key) > maxSimpleKeyBytes || key.includes('\n')) {
        this.#put('? ');
        this.#text(key, indent + indentStep, false);
        this.#line(indent);
      } else this.#text(key, indent + indentStep, true);
      this.#put(':');
      this.node(object[key], { indent, inMapping: true });
    }
  }

  #scalar(value: unknown, indent: number): void {
    if (typeof value === 'string') {
      this.#space();
      this.#text(value, indent, false);
      return;
    }
    this.#space();
    this.#put(typeof value === 'number' ? formatNumber(value) : JSON.stringify(value ?? null));
  }

  #text(text: string, indent: number, isKey: boolean): void {
    const facts = analyse(text);
    if (text.includes('\n') && facts.blockAllowed && !isKey) this.#literal(text, indent);
    else if (text.includes('\n') || needsQuotes(text)) this.#doubleQuoted(text, indent, isKey);
    else if (facts.plainAllowed) this.#foldable(text, indent, isKey, false);
    else if (facts.singleQuotedAllowed) {
      this.#put("'");
      this.#foldable(text, indent, isKey, true);
      this.#put("'");
    } else this.#doubleQuoted(text, indent, isKey);
  }

  /** Plain and single-quoted text: a single space beyond the best width becomes a line break. */
  #foldable(text: string, indent: number, isKey: boolean, quoted: boolean): void {
    const escaped = quoted ? text.replaceAll("'", "''") : text;
    if (isKey || this.#column + escaped.length <= bestWidth) {
      this.#put(escaped);
      return;
    }
    const fold = `\n${' '.repeat(indent)}`;
    const last = escaped.length - 1;
    let out = '';
    let column = this.#column;
    let afterSpace = false;
    let at = 0;
    for (const char of escaped) {
      const inside = !quoted || (at > 0 && at < last);
      if (char === ' ' && !afterSpace && column > bestWidth && inside && escaped[at + 1] !== ' ') {
        out += fold;
        column = indent;
      } else {
        out += char;
        column++;
      }
      afterSpace = char === ' ';
      at += char.length;
    }
    this.#put(out);
  }

  #doubleQuoted(text: string, indent: number, isKey: boolean): void {
    let out = '"';
    let column = this.#column + 1;
    let afterSpace = false;
    let at = 0;
    for (const char of text) {
      if (char === ' ' && !isKey && !afterSpace && column > bestWidth && at > 0 && at < text.length - 1) {
        const next = text[at + 1] === ' ' ? '\\' : '';
        out += `\n${' '.repeat(indent)}${next}`;
        column = indent + next.length;
      } else {
        const escaped = char === ' ' ? char : escapeChar(char);
        out += escaped;
        column += escaped.length === char.length ? 1 : escaped.length;
      }
      afterSpace = char === ' ';
      at += char.length;
    }
    this.#put(`${out}"`);
  }

  #literal(text: string, indent: number): void {
    const indentHint = text.startsWith(' ') || text.startsWith('\n') ? String(indentStep) : '';
    const chomp = !text.endsWith('\n') ? '-' : text === '\n' || text.endsWith('\n\n') ? '+' : '';
    const lines = (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n');
    const margin = ' '.repeat(indent);
    this.#put(`|${indentHint}${chomp}\n${lines.map((line) => (line === '' ? '' : margin + line)).join('\n')}`);
    // The next line starts by itself; a kept final break is written now.
    if (chomp === '+') this.#put('\n');
  }
}

/** Characters, not UTF-16 units. */
function width(text: string): number {
  return /[\ud800-\udbff]/.test(text) ? Array.from(text).length : text.length;
}

interface TextFacts {
  readonly plainAllowed: boolean;
  readonly singleQuotedAllowed: boolean;
  readonly blockAllowed: boolean;
}

const breaks = '\n\r\u0085\u2028\u2029';

/** Which styles can hold a text (block context). */
function analyse(text: string): TextFacts {
  if (text === '') return { plainAllowed: true, singleQuotedAllowed: true, blockAllowed: false };
  const special = !/^[\n\x20-\x7e\u00a0-\ud7ff\ue000-\ufefe\uff00-\ufffd]*$/.test(text);
  const spaceThenBreak = /[ ][\n\r\u0085\u2028\u2029]/.test(text);
  const breakThenSpace = /[\n\r\u0085\u2028\u2029][ ]/.test(text);
  const hasBreak = /[\n\r\u0085\u2028\u2029]/.test(text);
  const edge = text.startsWith(' ') || text.endsWith(' ') || breaks.includes(text[0] ?? '') || breaks.includes(text.at(-1) ?? '');
  const indicator = /^(?:---|\.\.\.|[#,[\]{}&*!|>'"%@`]|[?:](?:[ \t]|$)|-(?:[ \t]|$))|:(?:[ \t]|$)|[\s]#/.test(text);
  const unfit = special || spaceThenBreak;
  return {
    plainAllowed: !unfit && !edge && !hasBreak && !indicator,
    singleQuotedAllowed: !unfit && !breakThenSpace,
    blockAllowed: !unfit && !text.endsWith(' '),
  };
}

const escapes: Readonly<Record<string, string>> = {
  '\0': '\\0',
  '\x07': '\\a',
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\v': '\\v',
  '\f': '\\f',
  '\r': '\\r',
  '\x1b': '\\e',
  '"': '\\"',
  '\\': '\\\\',
  '\u0085': '\\N',
  '\u2028': '\\L',
  '\u2029': '\\P',
};

function escapeChar(char: string): string {
  const known = escapes[char];
  if (known !== undefined) return known;
  const code = char.codePointAt(0) ?? 0;
  if (code >= 0x20 && code <= 0x7e) return char;
  if (code < 0xa0) return `\\x${hex(code, 2)}`;
  if (code >= 0x10000) return `\\U${hex(code, 8)}`;
  const unprintable = (code >= 0xd800 && code < 0xe000) || code === 0xfeff || code > 0xfffd;
  return unprintable ? `\\u${hex(code, 4)}` : char;
}

function hex(code: number, digits: number): string {
  return code.toString(16).toUpperCase().padStart(digits, '0');
}

/** Go's `%g` with the shortest digits: an exponent below -4 or from 21 on, with at least two digits. */
function formatNumber(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 2 ** 64) return BigInt(value).toString();
  const text = String(value);
  const exponent = Number(value.toExponential().split('e')[1]);
  if (exponent >= -4 && exponent < 21) return text.includes('e') ? value.toFixed(-exponent + text.length) : text;
  const [mantissa, power = '0'] = value.toExponential().split('e');
  const sign = power.startsWith('-') ? '-' : '+';
  return `${mantissa}e${sign}${power.replace(/^[+-]/, '').padStart(2, '0')}`;
}

const letter = /\p{L}/u;
const digit = /\p{Nd}/u;

/** go-yaml's order of keys: like words, but numbers inside them by value and letters after everything else. */
export function compareKeys(a: string, b: string): number {
  const left = Array.from(a);
  const right = Array.from(b);
  for (let i = 0; i < left.length && i < right.length; i++) {
    const l = left[i] ?? '';
    const r = right[i] ?? '';
    if (l === r) continue;
    const leftIsLetter = letter.test(l);
    const rightIsLetter = letter.test(r);
    if (leftIsLetter && rightIsLetter) return byCode(l, r);
    if (leftIsLetter || rightIsLetter) return rightIsLetter ? -1 : 1;
    const leading = (l === '0' || r === '0') && followsNonZeroDigit(left, i) ? '1' : '';
    const leftDigits = digitsAt(left, i);
    const rightDigits = digitsAt(right, i);
    const leftNumber = BigInt(`0${leading}${leftDigits}`);
    const rightNumber = BigInt(`0${leading}${rightDigits}`);
    if (leftNumber !== rightNumber) return leftNumber < rightNumber ? -1 : 1;
    if (leftDigits.length !== rightDigits.length) return leftDigits.length - rightDigits.length;
    return byCode(l, r);
  }
  return left.length - right.length;
}

function byCode(a: string, b: string): number {
  return (a.codePointAt(0) ?? 0) - (b.codePointAt(0) ?? 0);
}

function followsNonZeroDigit(chars: readonly string[], at: number): boolean {
  for (let i = at - 1; i >= 0 && digit.test(chars[i] ?? ''); i--) if (chars[i] !== '0') return true;
  return false;
}

function digitsAt(chars: readonly string[], at: number): string {
  let end = at;
  while (end < chars.length && /[0-9]/.test(chars[end] ?? '')) end++;
  return chars.slice(at, end).join('');
}
