/** Env files that `fileKeyRef` reads: `KEY='value'` lines, the POSIX shell subset that upstream accepts. Pure. */

/** The value of `key`, or undefined when the file does not define it. The last definition wins. Throws when a line is malformed. */
export function envFileValue(text: string, key: string): string | undefined {
  let value: string | undefined;
  const lines = text.split('\n');
  for (let index = 0; index < lines.length; index++) {
    const line = (lines[index] ?? '').replace(/\r$/, '');
    if (line.trim() === '' || line.trimStart().startsWith('#')) continue;
    const match = /^\s*([A-Za-z_][A-Za-z0-9_.-]*)='(.*)$/s.exec(line);
    if (match === null) throw new Error(`invalid environment variable format at line ${index + 1}`);
    const name = match[1] ?? '';
    let rest = match[2] ?? '';
    while (!rest.includes("'")) {
      index++;
      const next = lines[index];
      if (next === undefined) throw new Error(`unterminated single quote at line ${index}`);
      rest += `\n${next}`;
    }
    const end = rest.indexOf("'");
    if (rest.slice(end + 1).trim() !== '' && !/^\s*#/.test(rest.slice(end + 1))) {
      throw new Error(`unexpected text after the closing quote at line ${index + 1}`);
    }
    if (name === key) value = rest.slice(0, end);
  }
  return value;
}
