import { notAcceptable } from '@coffer/api/errors/status-error';
import type { HttpRequest } from '@coffer/base/http/handler';
import { genericStatus } from './generic-status.ts';

/**
 * Which representation a client gets: media type, `pretty`, and the conversion to Table or PartialObjectMetadata(List). Answers are
 * JSON or YAML; a client that takes nothing else is refused in kube-apiserver's words.
 */
export interface OutputFormat {
  readonly type: 'json' | 'yaml';
  readonly pretty: boolean;
  readonly convert: Conversion | undefined;
}

export interface Conversion {
  readonly kind: 'Table' | 'PartialObjectMetadata' | 'PartialObjectMetadataList';
  readonly version: 'v1' | 'v1beta1';
}

export const jsonOutput: OutputFormat = { type: 'json', pretty: false, convert: undefined };
const prettyJson: OutputFormat = { type: 'json', pretty: true, convert: undefined };

export const objectMediaTypes: readonly string[] = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'];
export const listMediaTypes: readonly string[] = [
  ...objectMediaTypes,
  'application/json;stream=watch',
  'application/vnd.kubernetes.protobuf;stream=watch',
];

/** Throws StatusError 406. `produced` is what the route declares it can answer with. */
export function negotiateOutput(http: HttpRequest, query: URLSearchParams, produced: readonly string[] = objectMediaTypes): OutputFormat {
  return negotiate(http, query, produced, true);
}

/** As `negotiateOutput` for answers that are no stored objects: nothing prints them as a table. */
export function negotiateWithoutTable(http: HttpRequest, query: URLSearchParams): OutputFormat {
  return negotiate(http, query, objectMediaTypes, false);
}

/** As `negotiateOutput` for a watch: events are never YAML. A list that is streamed as events (`streamsList`) is no table either. */
export function negotiateWatch(http: HttpRequest, query: URLSearchParams, streamsList: boolean): OutputFormat {
  const format = negotiate(http, query, listMediaTypes, !streamsList);
  if (format.type === 'json') return format;
  throw notAcceptable(`only the following media types are accepted: ${listMediaTypes.filter((type) => type.includes(';')).join(', ')}`);
}

function negotiate(http: HttpRequest, query: URLSearchParams, produced: readonly string[], tables: boolean): OutputFormat {
  const header = headerText(http, 'accept');
  if (header === '' || header === '*/*' || header === 'application/json') {
    return wantsPretty(http, query) ? prettyJson : jsonOutput;
  }
  const clauses = parseAccept(header);
  const routed = clauses.some((c) => c.text === '*/*' || produced.includes(c.text));
  if (!routed) throw genericStatus(406, `406: Not Acceptable\n\nAvailable representations: ${produced.join(', ')}`);
  const found = pick(clauses, tables);
  if (found === undefined) {
    const onlyProtobuf = clauses.every((c) => c.text === 'application/vnd.kubernetes.protobuf' && c.parameters.get('as') !== 'Table');
    const accepted = onlyProtobuf ? objectMediaTypes.slice(0, 2) : objectMediaTypes;
    throw notAcceptable(`only the following media types are accepted: ${accepted.join(', ')}`);
  }
  return { ...found, pretty: found.type === 'json' && (found.pretty || wantsPretty(http, query)) };
}

/** What an error is written in: as asked where possible, else JSON. Never throws. */
export function negotiateErrorOutput(http: HttpRequest, query: URLSearchParams): OutputFormat {
  const found = pick(
    parseAccept(headerText(http, 'accept')).map((c) => ({ ...c, parameters: new Map() })),
    false,
  );
  if (found?.type === 'yaml') return { type: 'yaml', pretty: false, convert: undefined };
  return wantsPretty(http, query) ? prettyJson : jsonOutput;
}

/** The first of these types (all of them `application/…`) that the client takes, in its order; undefined when it takes none. */
export function preferredType(http: HttpRequest, produced: readonly string[]): string | undefined {
  for (const { text } of parseAccept(headerText(http, 'accept') || '*/*')) {
    const found = produced.find((type) => text === type || text === 'application/*' || text === '*/*');
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The media type of the body, lower case, without parameters; empty when there is none. */
export function contentTypeOf(http: HttpRequest): string {
  const header = headerText(http, 'content-type');
  const semicolon = header.indexOf(';');
  return (semicolon < 0 ? header : header.slice(0, semicolon)).trim().toLowerCase();
}

export function headerText(http: HttpRequest, name: string): string {
  const value = http.headers[name];
  if (value === undefined) return '';
  return typeof value === 'string' ? value : value.join(', ');
}

export function acceptsGzip(http: HttpRequest): boolean {
  const header = headerText(http, 'accept-encoding');
  return header.includes('gzip') && header.split(',').some((token) => token.split(';')[0]?.trim() === 'gzip');
}

interface AcceptClause {
  /** `type/subtype` without parameters. */
  readonly text: string;
  readonly parameters: ReadonlyMap<string, string>;
  readonly quality: number;
}

function parseAccept(header: string): AcceptClause[] {
  const clauses = header
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part): AcceptClause => {
      const [text = '', ...rest] = part.split(';').map((piece) => piece.trim());
      const parameters = new Map<string, string>();
      let quality = 1;
      for (const piece of rest) {
        const equals = piece.indexOf('=');
        if (equals < 0) continue;
        const key = piece.slice(0, equals).trim();
        const value = piece
          .slice(equals + 1)
          .trim()
          .replace(/^"(.*)"$/, '$1');
        if (key === 'q') quality = Number(value) || 0;
        else parameters.set(key, value);
      }
      return { text, parameters, quality };
    });
  // Stable: equal qualities keep the client's order.
  return clauses.sort((a, b) => b.quality - a.quality || specificity(b.text) - specificity(a.text));
}

/** `*\/*` comes behind `type/*`, and that behind a full type. */
function specificity(text: string): number {
  return text === '*/*' ? 0 : text.endsWith('/*') ? 1 : 2;
}

function pick(clauses: readonly AcceptClause[], tables: boolean): OutputFormat | undefined {
  for (const clause of clauses) {
    for (const type of ['json', 'yaml'] as const) {
      if (clause.text !== `application/${type}` && clause.text !== 'application/*' && clause.text !== '*/*') continue;
      const stream = clause.parameters.get('stream');
      if (stream !== undefined && stream !== 'watch') continue;
      const convert = conversionOf(clause.parameters);
      if (convert === 'refused' || (convert?.kind === 'Table' && !tables)) continue;
      return { type, pretty: clause.parameters.get('pretty') === '1', convert };
    }
  }
  return undefined;
}

function conversionOf(parameters: ReadonlyMap<string, string>): Conversion | undefined | 'refused' {
  const kind = parameters.get('as');
  if (kind === undefined) return parameters.has('g') || parameters.has('v') ? 'refused' : undefined;
  const version = parameters.get('v');
  if (parameters.get('g') !== 'meta.k8s.io' || (version !== 'v1' && version !== 'v1beta1')) return 'refused';
  if (kind !== 'Table' && kind !== 'PartialObjectMetadata' && kind !== 'PartialObjectMetadataList') return 'refused';
  return { kind, version };
}

/** `?pretty=…` decides; without it or its value, browsers and the usual command line tools get indented JSON. */
function wantsPretty(http: HttpRequest, query: URLSearchParams): boolean {
  const asked = query.size > 0 ? (query.get('pretty') ?? '') : '';
  if (asked !== '') return /^(1|t|true)$/i.test(asked);
  const agent = headerText(http, 'user-agent');
  return agent.startsWith('curl') || agent.startsWith('Wget') || agent.startsWith('Mozilla/5.0');
}
