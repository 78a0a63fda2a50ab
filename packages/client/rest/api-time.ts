/** RFC 3339 times of the API. */

/** Whole seconds, as `metav1.Time` has them. */
export function apiTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** Microseconds, as `metav1.MicroTime` has them. */
export function apiMicroTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}

/** Milliseconds since the epoch; undefined for an absent or unreadable time. */
export function parseApiTime(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}
