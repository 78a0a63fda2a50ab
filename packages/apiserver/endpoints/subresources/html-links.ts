/** Attributes of HTML elements whose value is an address. */
const names = 'action|background|cite|classid|codebase|data|formaction|href|icon|longdesc|manifest|poster|profile|src|usemap';
const attribute = new RegExp(`(\\s(?:${names})\\s*=\\s*)("[^"]*"|'[^']*')`, 'gi');

/** Replaces every address in the start tags of a page. */
export function rewriteLinks(page: string, replace: (address: string) => string): string {
  return page.replace(/<[a-z](?:[^<>"']|"[^"]*"|'[^']*')*>/gi, (tag) =>
    tag.replace(attribute, (_all, before: string, quoted: string) => {
      const quote = quoted[0] ?? '';
      return `${before}${quote}${replace(quoted.slice(1, -1))}${quote}`;
    }),
  );
}
