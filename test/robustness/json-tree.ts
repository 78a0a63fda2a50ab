/** JSON trees of tests: keys may be `__proto__`, so they are read and written as own properties only. */
export type Tree = Record<string, unknown>;

export function isRecord(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function own(object: Readonly<Tree>, key: string): unknown {
  return Object.getOwnPropertyDescriptor(object, key)?.value;
}

export function put(object: Tree, key: string, value: unknown): void {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
}

export function entriesOf(object: Readonly<Tree>): [string, unknown][] {
  return Object.keys(object).map((key) => [key, own(object, key)]);
}

/** Absent, null, zero, false, empty: what Go leaves out. */
export function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === 0 || value === false) return true;
  return Array.isArray(value) ? value.length === 0 : isRecord(value) && Object.keys(value).length === 0;
}

/** What the value of a bytes field stands for: base64, or a list of numbers in which null is zero. */
export function bytesOf(value: unknown): Buffer {
  return Array.isArray(value) ? Buffer.from(value.map(Number)) : Buffer.from(String(value ?? ''), 'base64');
}

/** Block-style YAML whose strings are quoted, so that every one means itself. */
export function yamlText(value: unknown, indent = ''): string {
  if (Array.isArray(value)) {
    if (value.length === 0) return ' []\n';
    return `\n${value.map((item) => `${indent}-${yamlText(item, `${indent}  `)}`).join('')}`;
  }
  if (isRecord(value)) {
    if (Object.keys(value).length === 0) return ' {}\n';
    const lines = entriesOf(value).map(([key, item]) => `${indent}${yamlString(key)}:${yamlText(item, `${indent}  `)}`);
    return `\n${lines.join('')}`;
  }
  return ` ${typeof value === 'string' ? yamlString(value) : String(value)}\n`;
}

function yamlString(text: string): string {
  const characters = Array.from(text, (character) => {
    const code = character.codePointAt(0) ?? 0;
    if (character === '"' || character === '\\') return `\\${character}`;
    return code >= 0x20 && code < 0x7f ? character : `\\U${code.toString(16).padStart(8, '0')}`;
  });
  return `"${characters.join('')}"`;
}
