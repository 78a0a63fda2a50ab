import { badRequest } from '../errors/status-error.ts';
import { builtInSchemaTable, type GoFieldSchema } from '../schema/schema-table.ts';
import { canonicalizeTime, ScalarError } from './go-scalars.ts';

/**
 * Options in the query of a URL (`?limit=5&watch=true`) → the JSON of the options object. Only what the query names is set; the
 * first value of a repeated parameter counts, except for lists. Values are read here and judged by the caller.
 */
export type QueryOptionsKind =
  | 'ListOptions'
  | 'GetOptions'
  | 'CreateOptions'
  | 'UpdateOptions'
  | 'PatchOptions'
  | 'DeleteOptions'
  | 'PodLogOptions'
  | 'PodExecOptions'
  | 'PodAttachOptions'
  | 'PodPortForwardOptions';

/** Reads the parameters that the options have. Throws 400 with upstream's text for a value that cannot be read. */
export function decodeQueryOptions(kind: QueryOptionsKind, query: URLSearchParams): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  const schema = builtInSchemaTable().kind('', 'v1', kind);
  if (schema === undefined) throw new Error(`no options ${kind} in the schema table`);
  for (const field of schema.fieldList) {
    if (field.name === 'kind' || field.name === 'apiVersion' || !query.has(field.name)) continue;
    const value = readField(field, query.getAll(field.name));
    if (value !== undefined) options[field.name] = value;
  }
  // Preconditions have a form of their own in a query.
  const uid = query.get('uid');
  if (kind === 'DeleteOptions' && uid !== null && uid !== '') options.preconditions = { uid };
  return options;
}

function readField(field: GoFieldSchema, values: readonly string[]): unknown {
  const { type } = field;
  const first = values[0] ?? '';
  if (type.kind === 'list') {
    return type.element.kind === 'scalar' && type.element.type === 'integer' ? values.flatMap(readPorts) : [...values];
  }
  if (type.kind === 'special' && type.type === 'time') return readTime(first);
  if (type.kind !== 'scalar') return undefined;
  switch (type.type) {
    case 'string':
      return first;
    case 'boolean':
      // Everything but `0` and `false` is true, an empty value too.
      return first !== '0' && first.toLowerCase() !== 'false';
    default:
      return readInteger(first);
  }
}

/** Go's ParseInt in base 10 with 64 bits. */
function readInteger(text: string): number {
  const fail = (problem: string): never => {
    throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: ${problem}`);
  };
  if (!/^[+-]?\d+$/.test(text)) return fail('invalid syntax');
  const value = BigInt(text.replace(/^\+/, ''));
  return value >= -(2n ** 63n) && value < 2n ** 63n ? Number(value) : fail('value out of range');
}

function readPorts(text: string): number[] {
  return text.split(',').map((part) => {
    const valid = /^\d+$/.test(part);
    if (valid && Number(part) <= 0xffff) return Number(part);
    const problem = valid ? 'value out of range' : 'invalid syntax';
    throw badRequest(`cannot convert to []int32: strconv.ParseUint: parsing ${JSON.stringify(part)}: ${problem}`);
  });
}

function readTime(text: string): string | undefined {
  if (text === '' || text === 'null') return undefined;
  try {
    return canonicalizeTime(text);
  } catch (error) {
    throw error instanceof ScalarError ? badRequest(error.message, { cause: error }) : error;
  }
}
