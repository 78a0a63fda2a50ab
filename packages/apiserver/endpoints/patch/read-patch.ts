import { JsonSyntaxError, type KeySequences, parseJsonExactly, plainNumbers } from '@coffer/api/codec/json-text';
import { parseYaml } from '@coffer/api/codec/yaml-reader';
import { badRequest, StatusError } from '@coffer/api/errors/status-error';
import { isRecord } from '@coffer/api/meta/safe-object';
import { jsonWord } from '@coffer/api/patch/go-format';
import { type DecodedJsonPatch, decodeJsonPatch } from '@coffer/api/patch/json-patch';

/** The body of a PATCH, parsed. `strictErrors` are what strict field validation has against the patch itself. */
export type Patch =
  | { readonly type: 'json'; readonly patch: DecodedJsonPatch; readonly strictErrors: readonly string[] }
  | { readonly type: 'merge' | 'strategic'; readonly patch: unknown; readonly strictErrors: readonly string[] }
  | { readonly type: 'apply'; readonly patch: unknown; readonly strictErrors: readonly string[] };

export type PatchType = Patch['type'];

const patchTypes: Readonly<Record<string, PatchType>> = {
  'application/json-patch+json': 'json',
  'application/merge-patch+json': 'merge',
  'application/strategic-merge-patch+json': 'strategic',
  'application/apply-patch+yaml': 'apply',
};

/** undefined for a media type no PATCH has. */
export function patchTypeOf(contentType: string): PatchType | undefined {
  return Object.hasOwn(patchTypes, contentType) ? patchTypes[contentType] : undefined;
}

/** Throws StatusError 400 or 413 in the words of each patch type. */
export function readPatch(type: PatchType, body: Uint8Array): Patch {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8');
  if (type === 'apply') return readApply(text);
  const { value, strictErrors } = readJson(text, type === 'strategic' ? '' : 'error decoding patch: ');
  if (type === 'json') {
    const patch = decodeJsonPatch(value);
    return { type, patch, strictErrors: [...patch.strictErrors, ...strictErrors.map((e) => `json patch ${e}`)] };
  }
  return { type, patch: value, strictErrors };
}

function readJson(text: string, prefix: string): { readonly value: unknown; readonly strictErrors: readonly string[] } {
  try {
    const { value, sequences } = parseJsonExactly(text);
    const strictErrors: string[] = [];
    if (sequences.size > 0) collectDuplicates(value, sequences, '', strictErrors);
    return { value: plainNumbers(value), strictErrors };
  } catch (error) {
    if (error instanceof JsonSyntaxError) throw badRequest(prefix + error.message, { cause: error });
    throw error;
  }
}

function collectDuplicates(value: unknown, sequences: KeySequences, path: string, errors: string[]): void {
  if (Array.isArray(value)) {
    value.forEach((item, i) => {
      collectDuplicates(item, sequences, `${path}[${i}]`, errors);
    });
  } else if (isRecord(value)) {
    const seen = new Set<string>();
    for (const key of sequences.get(value) ?? []) {
      if (seen.has(key)) errors.push(`duplicate field "${path === '' ? key : `${path}.${key}`}"`);
      seen.add(key);
    }
    for (const key of Object.keys(value)) collectDuplicates(value[key], sequences, path === '' ? key : `${path}.${key}`, errors);
  }
}

const yamlPrefix = 'error converting YAML to JSON: ';

/** Upstream turns the YAML into JSON and decodes that; an empty body is an empty configuration. */
function readApply(text: string): Patch {
  try {
    const { value, repeatedKeys } = parseYaml(text);
    if (value != null && !isRecord(value)) {
      throw badRequest(
        `error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ${jsonWord(value)} into Go value of type map[string]interface {}`,
      );
    }
    const strictErrors = repeatedKeys.length === 0 ? [] : [`${yamlPrefix}yaml: unmarshal errors:\n  ${repeatedKeys.join('\n  ')}`];
    return { type: 'apply', patch: value, strictErrors };
  } catch (error) {
    if (error instanceof StatusError) throw error;
    throw badRequest(`error decoding YAML: ${yamlPrefix}${error instanceof Error ? error.message : 'unreadable'}`, { cause: error });
  }
}
