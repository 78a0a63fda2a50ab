import type { HttpRequest } from '@coffer/base/http/handler';

/**
 * All values of a header in the order they came. Repeated headers stay apart even where a value holds a comma, which the joined
 * form of `headers` cannot promise. Without raw headers (in-process callers) a text is one value.
 */
export function headerValues(request: HttpRequest, name: string): readonly string[] {
  if (request.rawHeaders) {
    const values: string[] = [];
    eachRawHeader(request.rawHeaders, (key, value) => {
      if (key === name) values.push(value);
    });
    return values;
  }
  return asList(request.headers[name]);
}

/** Headers whose lower-case name starts with `prefix`: rest of the name → values. */
export function headersWithPrefix(request: HttpRequest, prefix: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  const add = (name: string, values: readonly string[]) => {
    if (!name.startsWith(prefix)) return;
    const key = name.slice(prefix.length);
    found.set(key, [...(found.get(key) ?? []), ...values]);
  };
  if (request.rawHeaders) eachRawHeader(request.rawHeaders, (name, value) => add(name, [value]));
  else for (const [name, value] of Object.entries(request.headers)) add(name, asList(value));
  return found;
}

function eachRawHeader(raw: readonly string[], visit: (lowerCaseName: string, value: string) => void): void {
  for (let i = 0; i + 1 < raw.length; i += 2) visit((raw[i] ?? '').toLowerCase(), raw[i + 1] ?? '');
}

function asList(value: string | readonly string[] | undefined): readonly string[] {
  if (value === undefined) return [];
  return typeof value === 'string' ? [value] : value;
}
