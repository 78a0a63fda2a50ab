import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { argumentsOf, encodeProgram } from './program.ts';

describe('encodeProgram', () => {
  it('writes fields ended by NUL: name, number of arguments, arguments', () => {
    const program = encodeProgram([['umask', '022'], ['keyring'], ['exec', 'sh', '', Buffer.from([0xff, 0x0a])]]);
    expect(program.toString('latin1')).toBe('umask\x001\x00022\x00keyring\x000\x00exec\x003\x00sh\x00\x00\xff\n\x00');
  });

  it('refuses an argument with NUL, which no path or variable can hold', () => {
    expect(() => encodeProgram([['env', 'A=\0']])).toThrow('NUL');
  });
});

describe('argumentsOf', () => {
  it('finds the arguments of the last instruction of a name, whatever the bytes', () => {
    const bytes = fc.uint8Array({ maxLength: 30 }).map((array) => Buffer.from(array.filter((byte) => byte !== 0)));
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 6 }), fc.array(bytes, { maxLength: 6 }), (env, argv) => {
        const program = encodeProgram([
          ['env', 'old'],
          ['env', ...env],
          ['exec', ...argv],
        ]);
        expect(argumentsOf(program, 'env')).toEqual(env);
        expect(argumentsOf(program, 'exec')).toEqual(argv);
        expect(argumentsOf(program, 'none')).toBeUndefined();
      }),
    );
  });
});
