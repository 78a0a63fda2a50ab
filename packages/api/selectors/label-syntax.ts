/** Syntax of label keys and values, with the texts clients know. An empty list means valid. */
const NAME_PATTERN = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';
const NAME_RULE = `must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character`;
const NAME_EXAMPLES = `(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '${NAME_PATTERN}')`;
const SUBDOMAIN_PATTERN = '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*';
const VALUE_PATTERN = `(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?`;

const MAX_NAME_BYTES = 63;
const MAX_PREFIX_BYTES = 253;

const name = new RegExp(`^${NAME_PATTERN}$`);
const subdomain = new RegExp(`^${SUBDOMAIN_PATTERN}$`);
const labelValue = new RegExp(`^${VALUE_PATTERN}$`);

/** Errors of a label key: `[prefix/]name`. */
export function labelKeyErrors(key: string): string[] {
  const errors: string[] = [];
  const parts = key.split('/');
  if (parts.length > 2) {
    return [`a valid label key ${NAME_RULE} ${NAME_EXAMPLES} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`];
  }
  const last = parts[parts.length - 1] ?? '';
  if (parts.length === 2) {
    const prefix = parts[0] ?? '';
    if (prefix === '') errors.push('prefix part must be non-empty');
    else errors.push(...subdomainErrors(prefix).map((text) => `prefix part ${text}`));
  }
  if (last === '') errors.push('name part must be non-empty');
  else if (byteLength(last) > MAX_NAME_BYTES) errors.push(`name part must be no more than ${MAX_NAME_BYTES} characters`);
  if (!name.test(last)) errors.push(`name part ${NAME_RULE} ${NAME_EXAMPLES}`);
  return errors;
}

/** Errors of a label value; the empty value is valid. */
export function labelValueErrors(value: string): string[] {
  const errors: string[] = [];
  if (byteLength(value) > MAX_NAME_BYTES) errors.push(`must be no more than ${MAX_NAME_BYTES} characters`);
  if (!labelValue.test(value)) {
    errors.push(
      "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an " +
        `alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '${VALUE_PATTERN}')`,
    );
  }
  return errors;
}

function subdomainErrors(value: string): string[] {
  const errors: string[] = [];
  if (byteLength(value) > MAX_PREFIX_BYTES) errors.push(`must be no more than ${MAX_PREFIX_BYTES} characters`);
  if (!subdomain.test(value)) {
    errors.push(
      "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an " +
        `alphanumeric character (e.g. 'example.com', regex used for validation is '${SUBDOMAIN_PATTERN}')`,
    );
  }
  return errors;
}

function byteLength(text: string): number {
  return Buffer.byteLength(text);
}
