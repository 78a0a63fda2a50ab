/**
 * Syntax of names and keys. Every function takes a value and returns what is wrong with it, in Kubernetes' words; an empty list
 * means it is fine. Lengths are counted in bytes of UTF-8. Nothing here knows about fields; see `object-meta.ts` for those.
 */

const labelFormat = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const subdomainFormat = `${labelFormat}(\\.${labelFormat})*`;
const underscoreLabelFormat = '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?';
const underscoreSubdomainFormat = `${underscoreLabelFormat}(\\.${underscoreLabelFormat})*`;
const wildcardFormat = `\\*\\.${subdomainFormat}`;
const qualifiedNameFormat = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';
const labelValueFormat = `(${qualifiedNameFormat})?`;
const configKeyFormat = '[-._a-zA-Z0-9]+';
const headerNameFormat = '[-A-Za-z0-9]+';
const percentFormat = '[0-9]+%';
const httpPathFormat = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";

const dnsLabel = whole(labelFormat);
const dnsSubdomain = whole(subdomainFormat);
const dnsSubdomainWithUnderscore = whole(underscoreSubdomainFormat);
const wildcardSubdomain = whole(wildcardFormat);
const qualifiedName = whole(qualifiedNameFormat);
const labelValue = whole(labelValueFormat);
const configKey = whole(configKeyFormat);
const headerName = whole(headerNameFormat);
const percent = whole(percentFormat);
const httpPath = whole(httpPathFormat);

const qualifiedNameText = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/** Bytes of the UTF-8 form: what Kubernetes means by the length of a string. */
export function byteLength(text: string): number {
  return Buffer.byteLength(text, 'utf8');
}

export function maxLengthText(maxLength: number): string {
  return `must be no more than ${maxLength} characters`;
}

export function maxBytesText(maxBytes: number): string {
  return `must be no more than ${maxBytes} bytes`;
}

export function inclusiveRangeText(low: number, high: number): string {
  return `must be between ${low} and ${high}, inclusive`;
}

/** Appends examples and the regular expression to a description, as every syntax message does. */
export function regexText(description: string, format: string, ...examples: readonly string[]): string {
  if (examples.length === 0) return `${description} (regex used for validation is '${format}')`;
  const list = examples.map((example) => `'${example}', `).join(' or ');
  return `${description} (e.g. ${list}regex used for validation is '${format}')`;
}

/** A label of a DNS name (RFC 1123): at most 63 characters, no dots. */
export function dnsLabelProblems(value: string): string[] {
  const problems = byteLength(value) > 63 ? [maxLengthText(63)] : [];
  if (dnsLabel.test(value)) return problems;
  if (dnsSubdomain.test(value)) return [...problems, 'must not contain dots'];
  const description =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
  return [...problems, regexText(description, labelFormat, 'my-name', '123-abc')];
}

/** A DNS name (RFC 1123): at most 253 characters. */
export function dnsSubdomainProblems(value: string): string[] {
  const problems = byteLength(value) > 253 ? [maxLengthText(253)] : [];
  if (dnsSubdomain.test(value)) return problems;
  const description =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
  return [...problems, regexText(description, subdomainFormat, 'example.com')];
}

/** As a DNS name, with underscores (search paths of resolvers). */
export function dnsSubdomainWithUnderscoreProblems(value: string): string[] {
  const problems = byteLength(value) > 253 ? [maxLengthText(253)] : [];
  if (dnsSubdomainWithUnderscore.test(value)) return problems;
  const description =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character";
  return [...problems, regexText(description, underscoreSubdomainFormat, 'example.com')];
}

export function wildcardSubdomainProblems(value: string): string[] {
  const problems = byteLength(value) > 253 ? [maxLengthText(253)] : [];
  if (wildcardSubdomain.test(value)) return problems;
  const description =
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character";
  return [...problems, regexText(description, wildcardFormat, '*.example.com')];
}

/** What may stand between two slashes of a path: the rule for names that are not DNS names (RBAC). */
export function pathSegmentProblems(value: string): string[] {
  if (value === '.' || value === '..') return [`may not be '${value}'`];
  return ['/', '%'].filter((char) => value.includes(char)).map((char) => `may not contain '${char}'`);
}

/** As `pathSegmentProblems` for a prefix that is still to be completed: `.` and `..` may become something else. */
export function pathSegmentPrefixProblems(value: string): string[] {
  return ['/', '%'].filter((char) => value.includes(char)).map((char) => `may not contain '${char}'`);
}

/** Key of a label or annotation, name of a finalizer: `[prefix/]name`. */
export function qualifiedNameProblems(value: string): string[] {
  const parts = value.split('/');
  if (parts.length > 2) {
    const text = regexText(`a valid label key ${qualifiedNameText}`, qualifiedNameFormat, 'MyName', 'my.name', '123-abc');
    return [`${text} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`];
  }
  const problems: string[] = [];
  const name = parts[parts.length - 1] ?? '';
  if (parts.length === 2) {
    const prefix = parts[0] ?? '';
    if (prefix === '') problems.push('prefix part must be non-empty');
    else problems.push(...dnsSubdomainProblems(prefix).map((text) => `prefix part ${text}`));
  }
  if (name === '') problems.push('name part must be non-empty');
  else if (byteLength(name) > 63) problems.push(`name part ${maxBytesText(63)}`);
  if (!qualifiedName.test(name)) {
    problems.push(`name part ${regexText(qualifiedNameText, qualifiedNameFormat, 'MyName', 'my.name', '123-abc')}`);
  }
  return problems;
}

export function labelValueProblems(value: string): string[] {
  const problems = byteLength(value) > 63 ? [maxBytesText(63)] : [];
  if (labelValue.test(value)) return problems;
  const description =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
  return [...problems, regexText(description, labelValueFormat, 'MyValue', 'my_value', '12345')];
}

/** Key of a ConfigMap or Secret: it becomes a file name. */
export function configKeyProblems(value: string): string[] {
  const problems = byteLength(value) > 253 ? [maxLengthText(253)] : [];
  if (!configKey.test(value)) {
    const description = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
    problems.push(regexText(description, configKeyFormat, 'key.name', 'KEY_NAME', 'key-name'));
  }
  if (value === '.' || value === '..') problems.push(`must not be '${value}'`);
  else if (value.startsWith('..')) problems.push("must not start with '..'");
  return problems;
}

/** Name of an environment variable: printable ASCII without `=`. */
export function envNameProblems(value: string): string[] {
  const problems = value === '' ? ['environment variable name must be non-empty'] : [];
  if (!/^[ -<>-~]*$/.test(value)) {
    problems.push("a valid environment variable name must consist only of printable ASCII characters other than '='");
  }
  return problems;
}

export function httpHeaderNameProblems(value: string): string[] {
  if (headerName.test(value)) return [];
  return [regexText("a valid HTTP header must consist of alphanumeric characters or '-'", headerNameFormat, 'X-Header-Name')];
}

export function portNumberProblems(port: number): string[] {
  return port >= 1 && port <= 65535 ? [] : [inclusiveRangeText(1, 65535)];
}

export function portNameProblems(name: string): string[] {
  const problems: string[] = [];
  if (byteLength(name) > 15) problems.push(maxLengthText(15));
  if (!/^[-a-z0-9]+$/.test(name)) problems.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
  if (!/[a-z]/.test(name)) problems.push('must contain at least one letter (a-z)');
  if (name.includes('--')) problems.push('must not contain consecutive hyphens');
  if (name.startsWith('-') || name.endsWith('-')) problems.push('must not begin or end with a hyphen');
  return problems;
}

export function percentProblems(value: string): string[] {
  if (percent.test(value)) return [];
  return [regexText("a valid percent string must be a numeric string followed by an ending '%'", percentFormat, '1%', '93%')];
}

/** UID or GID of Linux. */
export function unixIdProblems(id: number): string[] {
  return id >= 0 && id <= 0xffffffff ? [] : [inclusiveRangeText(0, 0xffffffff)];
}

/** `example.com/path`: message for the path part, or an empty list. */
export function httpPathProblems(value: string): string[] {
  return httpPath.test(value) ? [] : [regexText('Invalid path', httpPathFormat)];
}

/** A name rule; `prefix` says that random characters will be appended (`generateName`). */
export type NameRule = (name: string, prefix: boolean) => string[];

/** Rules by the kind's `nameSyntax`. A prefix may end with what a complete name may not. */
export const nameRules: Readonly<Record<'dns-subdomain' | 'dns-label' | 'path-segment', NameRule>> = {
  'dns-subdomain': (name, prefix) => dnsSubdomainProblems(prefix ? maskTrailingDash(name) : name),
  'dns-label': (name, prefix) => dnsLabelProblems(prefix ? maskTrailingDash(name) : name),
  'path-segment': (name, prefix) => (prefix ? pathSegmentPrefixProblems(name) : pathSegmentProblems(name)),
};

function maskTrailingDash(name: string): string {
  return name.length > 1 && name.endsWith('-') ? `${name.slice(0, -2)}a` : name;
}

function whole(format: string): RegExp {
  return new RegExp(`^(?:${format})$`);
}
