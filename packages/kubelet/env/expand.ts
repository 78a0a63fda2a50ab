/** `$(VAR)` references as in env values, command and args: `$$` escapes, unknown references stay as they are. Pure. */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
  let out = '';
  let checkpoint = 0;
  for (let cursor = 0; cursor < text.length; cursor++) {
    if (text[cursor] !== '$' || cursor + 1 >= text.length) continue;
    out += text.slice(checkpoint, cursor);
    const next = text[cursor + 1];
    if (next === '$') {
      out += '$';
      cursor += 1;
    } else if (next === '(') {
      const end = text.indexOf(')', cursor + 2);
      if (end < 0) {
        out += '$(';
        cursor += 1;
      } else {
        const name = text.slice(cursor + 2, end);
        out += lookup(name) ?? `$(${name})`;
        cursor = end;
      }
    } else {
      out += `$${next}`;
      cursor += 1;
    }
    checkpoint = cursor + 1;
  }
  return out + text.slice(checkpoint);
}
