/**
 * Field selectors: `metadata.name=a,status.phase!=Running`. Values may escape `\`, `,` and `=` with a backslash. Which fields a
 * kind supports is the kind's business; `checkFieldSelector` compares and answers as upstream does for that kind.
 */
import { quoteGo } from '../errors/field-error.ts';
import { badRequest } from '../errors/status-error.ts';

export interface FieldRequirement {
  readonly field: string;
  readonly operator: '=' | '!=';
  readonly value: string;
}

/** A conjunction of requirements on fields. Immutable. */
export class FieldSelector {
  readonly requirements: readonly FieldRequirement[];

  constructor(requirements: readonly FieldRequirement[]) {
    this.requirements = requirements;
  }

  get empty(): boolean {
    return this.requirements.length === 0;
  }

  /** `read` gives the object's value of a field; an absent field is the empty string. */
  matches(read: (field: string) => string): boolean {
    for (const { field, operator, value } of this.requirements) {
      if ((read(field) === value) !== (operator === '=')) return false;
    }
    return true;
  }

  /** The value the selector demands for a field with `=`; undefined when it does not. */
  exact(field: string): string | undefined {
    return this.requirements.find((r) => r.field === field && r.operator === '=')?.value;
  }

  /** Canonical text, values escaped. */
  toString(): string {
    return this.requirements.map((r) => `${r.field}${r.operator}${escapeValue(r.value)}`).join(',');
  }
}

/** Matches every object. */
export const EVERY_FIELD = new FieldSelector([]);

/** Parses the query form; throws StatusError 400. Empty text matches everything. */
export function parseFieldSelector(text: string): FieldSelector {
  if (text === '') return EVERY_FIELD;
  const requirements: FieldRequirement[] = [];
  for (const term of splitTerms(text).sort()) {
    if (term === '') continue;
    const match = splitTerm(term);
    if (match === undefined) throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`);
    requirements.push({ field: match.field, operator: match.operator, value: unescapeValue(match.value) });
  }
  return new FieldSelector(requirements);
}

/** What `checkFieldSelector` needs to know of a kind. `fields` are those besides metadata.name and metadata.namespace. */
export interface SelectableKind {
  readonly group: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly fields: readonly string[];
}

/** Kinds with a field conversion of their own: they refuse in other words than the generic one. */
const OWN_CONVERSION: ReadonlyMap<string, (field: string) => string> = new Map([
  ...['Pod', 'Node', 'ReplicationController', 'Event', 'Namespace', 'Secret', 'Service'].map(
    (kind): [string, (field: string) => string] => [`/${kind}`, (field) => `field label not supported: ${field}`],
  ),
  ['events.k8s.io/Event', (field) => `field label not supported: ${field}`],
  ['certificates.k8s.io/CertificateSigningRequest', (field) => `field label not supported: ${field}`],
  ['batch/Job', (field) => `field label ${quoteGo(field)} not supported for Job`],
]);

/** Older names of fields that are still understood. */
const ALIASES: ReadonlyMap<string, ReadonlyMap<string, string>> = new Map([['/Pod', new Map([['spec.host', 'spec.nodeName']])]]);

/** The selector with aliases resolved; throws StatusError 400 for a field that the kind does not support. */
export function checkFieldSelector(selector: FieldSelector, kind: SelectableKind): FieldSelector {
  if (selector.empty) return selector;
  const id = `${kind.group}/${kind.kind}`;
  const own = OWN_CONVERSION.get(id);
  const supported = new Set(['metadata.name', ...(kind.namespaced || own === undefined ? ['metadata.namespace'] : []), ...kind.fields]);
  const aliases = ALIASES.get(id);
  const requirements = selector.requirements.map((requirement) => {
    const field = aliases?.get(requirement.field) ?? requirement.field;
    if (!supported.has(field)) {
      throw badRequest(own?.(field) ?? `${quoteGo(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`);
    }
    return field === requirement.field ? requirement : { ...requirement, field };
  });
  return new FieldSelector(requirements);
}

/** Escapes a value so that it can stand in a selector. */
export function escapeValue(value: string): string {
  return value.replace(/[\\,=]/g, (char) => `\\${char}`);
}

function splitTerms(text: string): string[] {
  const terms: string[] = [];
  let start = 0;
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === ',') {
      terms.push(text.slice(start, at));
      start = at + 1;
    }
  }
  terms.push(text.slice(start));
  return terms;
}

function splitTerm(term: string): FieldRequirement | undefined {
  for (let at = 0; at < term.length; at += 1) {
    const field = term.slice(0, at);
    if (term.startsWith('!=', at)) return { field, operator: '!=', value: term.slice(at + 2) };
    if (term.startsWith('==', at)) return { field, operator: '=', value: term.slice(at + 2) };
    if (term.startsWith('=', at)) return { field, operator: '=', value: term.slice(at + 1) };
  }
  return undefined;
}

function unescapeValue(value: string): string {
  if (!/[\\,=]/.test(value)) return value;
  let out = '';
  let escaped = false;
  for (const char of value) {
    if (escaped) {
      if (char !== '\\' && char !== ',' && char !== '=') throw badRequest(`invalid field selector: invalid escape sequence: \\${char}`);
      out += char;
      escaped = false;
    } else if (char === '\\') escaped = true;
    else if (char === ',' || char === '=') {
      throw badRequest(`invalid field selector: unescaped character in value: ${char.codePointAt(0)}`);
    } else out += char;
  }
  if (escaped) throw badRequest('invalid field selector: invalid escape sequence: \\');
  return out;
}
