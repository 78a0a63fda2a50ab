/** Descriptions of API fields, as the documentation of the type has them. Parsed on first use: only tables and `explain` want them. */

import { descriptionsJson } from '../generated/descriptions.ts';
import { isRecord } from '../meta/safe-object.ts';

let parsed: Readonly<Record<string, unknown>> | undefined;

/** Description of a field of a struct given by its OpenAPI name; empty when there is none. */
export function fieldDescription(struct: string, field: string): string {
  parsed ??= JSON.parse(descriptionsJson) as Readonly<Record<string, unknown>>;
  const entry = parsed[struct];
  const fields: unknown = Array.isArray(entry) ? entry[1] : undefined;
  const text = isRecord(fields) ? fields[field] : undefined;
  return typeof text === 'string' ? text : '';
}
