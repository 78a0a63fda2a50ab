/** What strict decoding found, for a client that wants it as warnings: one each, also where the YAML reader reports several in one. */

import type { WarningList } from '../request/context.ts';

const yamlReport = /^(?:error converting YAML to JSON: )?yaml: unmarshal errors:\n/;

export function addStrictWarnings(warnings: WarningList, strictErrors: readonly string[]): void {
  for (const text of strictErrors) {
    const lines = yamlReport.test(text) ? text.replace(yamlReport, '').split('\n') : [text];
    for (const line of lines) warnings.add(line.trim());
  }
}
