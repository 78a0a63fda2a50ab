/** Ends a `switch` over a union: the compiler reports a case that was forgotten, the run-time error names the value. */
export function assertNever(value: never): never {
  throw new Error(`unexpected value: ${String(value)}`);
}
