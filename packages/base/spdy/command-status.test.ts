import { describe, expect, it } from 'vitest';
import { commandStatus, readCommandStatus } from './command-status.ts';

const sent = (...args: Parameters<typeof commandStatus>) => readCommandStatus(JSON.stringify(commandStatus(...args)));

describe('the status of a command', () => {
  it.each(['exec', 'attach'] as const)('is read as it was written (%s)', (kind) => {
    expect(sent(kind, { kind: 'exited', code: 0 }, [])).toEqual({ kind: 'exited', code: 0 });
    expect(sent(kind, { kind: 'failed', message: 'no such file' }, [])).toEqual({ kind: 'failed', message: 'no such file' });
  });

  it('has the exit code of a command, but not of an attachment', () => {
    expect(sent('exec', { kind: 'exited', code: 42 }, ['ls'])).toEqual({ kind: 'exited', code: 42 });
    expect(sent('attach', { kind: 'exited', code: 42 }, [])).toEqual({ kind: 'exited', code: 0 });
  });

  it('tells failures in upstream’s words', () => {
    const failed = { kind: 'failed', message: 'x' } as const;
    expect(commandStatus('exec', failed, []).message).toBe('Internal error occurred: error executing command in container: x');
    expect(commandStatus('attach', failed, []).message).toBe('Internal error occurred: error attaching to container: x');
  });

  it('is success when nothing was said, and a failure when what was said cannot be read', () => {
    expect(readCommandStatus('')).toEqual({ kind: 'exited', code: 0 });
    for (const text of ['plain text', 'null', '{"status":"Failure"}', '{"reason":"NonZeroExitCode","details":{"causes":1}}']) {
      expect(readCommandStatus(text)).toEqual({ kind: 'failed', message: text });
    }
    expect(readCommandStatus('{"status":"Failure","message":"no such container"}')).toEqual({
      kind: 'failed',
      message: 'no such container',
    });
  });
});
