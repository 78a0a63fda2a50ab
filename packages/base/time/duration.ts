const units: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Go's duration syntax (`3s`, `1m30s`, `500ms`) in milliseconds; undefined when it is none. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) total += Number(amount) * (units[unit ?? ''] ?? 0);
  return total;
}

/** Why `parseDuration` does not understand a text, in Go's words. */
export function durationProblem(text: string): string {
  const quoted = JSON.stringify(text);
  const number = /^[-+]?(\d+\.?\d*|\.\d+)/.exec(text)?.[0];
  if (number === undefined) return `time: invalid duration ${quoted}`;
  const unit = /^[^\d.]*/.exec(text.slice(number.length))?.[0] ?? '';
  if (unit === '') return `time: missing unit in duration ${quoted}`;
  return units[unit] === undefined
    ? `time: unknown unit ${JSON.stringify(unit)} in duration ${quoted}`
    : `time: invalid duration ${quoted}`;
}
