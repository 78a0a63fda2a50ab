/** Short-lived helper processes: run to the end, or the reason why not. */
import { spawn } from 'node:child_process';

/** How a helper process ended. `stderr` and `stdout` are cut at 64 KiB. */
export interface ToolResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The environment of helper processes: nothing of the server's but where tools are found. */
export const toolEnvironment: NodeJS.ProcessEnv = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C',
};

/** Runs a tool with nothing on its standard input. Rejects when it cannot be started. */
export function runTool(command: string, args: readonly string[], input = ''): Promise<ToolResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: toolEnvironment, cwd: '/' });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (chunk: string) => {
        if (output[name].length < 65_536) output[name] += chunk;
      });
    }
    child.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'ENOENT' ? new Error(`${command} is not installed on this machine`, { cause: error }) : error);
    });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.once('close', (code, signal) => resolve({ code: code ?? (signal ? 128 : 1), ...output }));
  });
}

/** Runs a tool that has to succeed; the error names it and carries what it said. */
export async function requireTool(command: string, args: readonly string[], input = ''): Promise<string> {
  const result = await runTool(command, args, input);
  if (result.code !== 0) throw new Error(`${command} failed: ${result.stderr.trim() || `exit status ${result.code}`}`);
  return result.stdout;
}
