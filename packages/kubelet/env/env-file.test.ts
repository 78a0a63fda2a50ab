import { describe, expect, it } from 'vitest';
import { envFileValue } from './env-file.ts';

describe('envFileValue', () => {
  it('reads quoted values over lines, comments and blank lines', () => {
    const text = "# comment\n\nA='one'\n  B='two\nlines' # tail\nA='last wins'\n";
    expect(envFileValue(text, 'A')).toBe('last wins');
    expect(envFileValue(text, 'B')).toBe('two\nlines');
    expect(envFileValue(text, 'C')).toBeUndefined();
  });

  it.each(['A=bare', 'A="double"', "A='open", "A='x' y", 'nonsense'])('refuses %j', (text) => {
    expect(() => envFileValue(text, 'A')).toThrow();
  });
});
