import { EVENT_ID, type Event, getScalarValue, parseEvents, SCALAR_STYLE, YAMLException } from 'js-yaml';
import { setOwn } from '../meta/safe-object.ts';
import { maxJsonDepth, NumberLiteral } from './json-text.ts';
import { resolvePlainScalar } from './yaml-scalar.ts';

/**
 * YAML → JSON values as kubectl and the API server read it (YAML 1.1 scalars, keys become strings, merge keys, the first document
 * only). Repeated keys are reported, the last one wins. Aliases are copied; documents that explode by aliasing are refused.
 */
export interface YamlDocument {
  readonly value: unknown;
  /** `line 3: key "a" already set in map`, in document order. */
  readonly repeatedKeys: readonly string[];
}

/** The text is not YAML that JSON can hold. The message starts with `yaml: `. */
export class YamlSyntaxError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'YamlSyntaxError';
  }
}

/** Reads the first document; an empty text is null. Throws YamlSyntaxError. */
export function parseYaml(text: string): YamlDocument {
  const builder = new Builder(text, readEvents(text));
  const value = builder.document();
  return { value, repeatedKeys: builder.repeatedKeys };
}

/** Nesting of collections that the parser accepts. */
const maxDepth = Math.min(maxJsonDepth, 500);

function readEvents(text: string): Event[] {
  try {
    return parseEvents(text, { maxDepth });
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    throw new YamlSyntaxError(`yaml: ${upstreamMessage(text, error)}`, { cause: error });
  }
}

/** The usual mistakes in the words, and with the line, that clients know from the Go library; the rest as our parser says it. */
function upstreamMessage(text: string, error: YAMLException): string {
  const line = error.mark?.line ?? 0;
  const at = text[error.mark?.position ?? text.length] ?? '';
  // Go's scanner counts lines from one, its parser from zero, and the first line goes unmentioned.
  const scanner = (message: string): string => (line === 0 ? message : `line ${line + 1}: ${message}`);
  const parser = (message: string): string => (line === 0 ? message : `line ${line}: ${message}`);
  if (at === '@' || at === '`' || at === '\t' || at === '%') return scanner('found character that cannot start any token');
  switch (error.reason) {
    case 'bad indentation of a mapping entry':
      return scanner('mapping values are not allowed in this context');
    case 'unexpected end of the stream within a double quoted scalar':
    case 'unexpected end of the stream within a single quoted scalar':
      return scanner('found unexpected end of stream');
    case 'unexpected end of the stream within a flow collection':
      return parser(/[,[{]\s*$/.test(text) ? 'did not find expected node content' : expectedInFlow(text));
    case 'end of the stream or a document separator is expected':
      return parser(/^\s*-\s/.test(text) ? "did not find expected '-' indicator" : 'did not find expected <document start>');
    default:
      return scanner(error.reason);
  }
}

function expectedInFlow(text: string): string {
  return `did not find expected ',' or '${text.lastIndexOf('{') > text.lastIndexOf('[') ? '}' : ']'}'`;
}

/** From here on the share of nodes that come from aliases is limited, more strictly the larger the document gets. */
const aliasCheckFrom = 1000;
const manyNodes = 4_000_000;
const fewNodes = 400_000;

/** More repeated keys than these are not reported. */
const maxRepeatedKeys = 100;

class Builder {
  readonly repeatedKeys: string[] = [];
  readonly #text: string;
  readonly #events: readonly Event[];
  /** Index of the event that each anchor names. */
  readonly #anchors = new Map<string, number>();
  readonly #open = new Set<number>();
  #at = 0;
  #nodes = 0;
  #aliasedNodes = 0;
  #aliasDepth = 0;
  /** Where the line begins up to which lines are counted; repeated keys come in document order. */
  #lineStart = 0;
  #line = 1;

  constructor(text: string, events: readonly Event[]) {
    this.#text = text;
    this.#events = events;
  }

  document(): unknown {
    const first = this.#events[this.#at];
    if (first?.type !== EVENT_ID.DOCUMENT) return null;
    this.#at++;
    const next = this.#events[this.#at];
    return next === undefined || next.type === EVENT_ID.POP || next.type === EVENT_ID.DOCUMENT ? null : this.#node();
  }

  #node(): unknown {
    this.#count();
    const index = this.#at++;
    const event = this.#events[index];
    if (event === undefined) throw new YamlSyntaxError('yaml: unknown problem parsing YAML content');
    switch (event.type) {
      case EVENT_ID.SCALAR:
        this.#remember(event, index);
        return this.#scalar(event);
      case EVENT_ID.SEQUENCE:
        this.#remember(event, index);
        return this.#inside(index, () => this.#list());
      case EVENT_ID.MAPPING:
        this.#remember(event, index);
        return this.#inside(index, () => this.#mapping());
      case EVENT_ID.ALIAS:
        return this.#alias(this.#text.slice(event.anchorStart, event.anchorEnd));
      default:
        throw new YamlSyntaxError('yaml: unknown problem parsing YAML content');
    }
  }

  #count(): void {
    this.#nodes++;
    if (this.#aliasDepth > 0) this.#aliasedNodes++;
    if (this.#aliasedNodes < 100 || this.#nodes < aliasCheckFrom) return;
    const excess = Math.min(1, Math.max(0, (this.#nodes - fewNodes) / (manyNodes - fewNodes)));
    if (this.#aliasedNodes / this.#nodes > 0.99 - 0.89 * excess) throw new YamlSyntaxError('yaml: document contains excessive aliasing');
  }

  #remember(event: { readonly anchorStart: number; readonly anchorEnd: number }, index: number): void {
    if (event.anchorStart >= 0 && this.#aliasDepth === 0) this.#anchors.set(this.#text.slice(event.anchorStart, event.anchorEnd), index);
  }

  #inside<T>(index: number, read: () => T): T {
    this.#open.add(index);
    const value = read();
    this.#open.delete(index);
    return value;
  }

  /** Reads the anchored node again: every alias is a value of its own. */
  #alias(name: string): unknown {
    const target = this.#anchors.get(name);
    if (target === undefined) throw new YamlSyntaxError(`yaml: unknown anchor '${name}' referenced`);
    if (this.#open.has(target)) throw new YamlSyntaxError(`yaml: anchor '${name}' value contains itself`);
    if (this.#aliasDepth >= maxDepth) throw new YamlSyntaxError('yaml: exceeded max depth');
    const back = this.#at;
    this.#at = target;
    this.#aliasDepth++;
    const value = this.#node();
    this.#aliasDepth--;
    this.#at = back;
    return value;
  }

  #scalar(event: Event & { type: typeof EVENT_ID.SCALAR }): unknown {
    const text = getScalarValue(this.#text, event);
    const tag = event.tagStart < 0 ? '' : this.#text.slice(event.tagStart, event.tagEnd);
    const short = tag.replace(/^!<(.*)>$/, '$1').replace('tag:yaml.org,2002:', '!!');
    if (short === '' || short === '!') return event.style === SCALAR_STYLE.PLAIN && short === '' ? this.#plain(text) : text;
    const expected = { '!!int': 'number', '!!float': 'number', '!!bool': 'boolean', '!!null': 'object' }[short];
    if (expected === undefined) return short === '!!binary' ? Buffer.from(text, 'base64').toString('utf8') : text;
    const value = this.#plain(text);
    const actual = value instanceof NumberLiteral ? 'number' : typeof value;
    if (actual !== expected) throw new YamlSyntaxError(`yaml: cannot decode !!str \`${text}\` as a ${short}`);
    return value;
  }

  #plain(text: string): unknown {
    const value = resolvePlainScalar(text);
    if (typeof value === 'number' && !Number.isFinite(value)) {
      throw new YamlSyntaxError(`json: unsupported value: ${Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'}`);
    }
    return value;
  }

  #list(): unknown[] {
    const list: unknown[] = [];
    while (this.#events[this.#at]?.type !== EVENT_ID.POP) list.push(this.#node());
    this.#at++;
    return list;
  }

  #mapping(): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    const merged: unknown[] = [];
    while (this.#events[this.#at]?.type !== EVENT_ID.POP) {
      const keyEvent = this.#events[this.#at];
      const key = this.#node();
      const valueEvent = this.#events[this.#at];
      const value = this.#node();
      if (key === '<<' && keyEvent?.type === EVENT_ID.SCALAR && keyEvent.style === SCALAR_STYLE.PLAIN) {
        merged.push(value);
        continue;
      }
      const name = keyText(key);
      if (Object.hasOwn(object, name) && this.#aliasDepth === 0 && this.repeatedKeys.length < maxRepeatedKeys) {
        const shown = typeof key === 'string' ? JSON.stringify(key) : name;
        this.repeatedKeys.push(`line ${this.#lineOf(valueEvent)}: key ${shown} already set in map`);
      }
      setOwn(object, name, value);
    }
    this.#at++;
    for (const source of merged) merge(object, source);
    return object;
  }

  #lineOf(event: Event | undefined): number {
    const start = event === undefined || !('tagStart' in event) ? 0 : 'valueStart' in event ? event.valueStart : event.start;
    for (
      let next = this.#text.indexOf('\n', this.#lineStart);
      next >= 0 && next < start;
      next = this.#text.indexOf('\n', this.#lineStart)
    ) {
      this.#lineStart = next + 1;
      this.#line++;
    }
    const isBlock = event?.type === EVENT_ID.SCALAR && event.style >= SCALAR_STYLE.LITERAL_BLOCK;
    return isBlock ? this.#line - 1 : this.#line;
  }
}

function keyText(key: unknown): string {
  if (typeof key === 'string') return key;
  if (key instanceof NumberLiteral) return key.text;
  if (typeof key === 'number' || typeof key === 'boolean') return String(key);
  const type = key === null ? '%!s(<nil>)' : Array.isArray(key) ? '[]interface {}' : 'map[interface {}]interface {}';
  throw new YamlSyntaxError(`unsupported map key of type: ${type}`);
}

/** Adds what the object does not have itself. */
function merge(object: Record<string, unknown>, source: unknown): void {
  for (const part of Array.isArray(source) ? source : [source]) {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) {
      throw new YamlSyntaxError('yaml: map merge requires map or sequence of maps as the value');
    }
    for (const key of Object.keys(part)) {
      if (!Object.hasOwn(object, key)) setOwn(object, key, (part as Record<string, unknown>)[key]);
    }
  }
}
