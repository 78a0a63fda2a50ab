import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CofferProcess, kubectlPath, runCommand } from '../support/coffer-process.ts';

// The README's first session, as printed: every `$` line of its console blocks is run by bash, and what it prints is compared.

const root = fileURLToPath(new URL('../..', import.meta.url));
let coffer: CofferProcess;

beforeAll(async () => {
  coffer = await CofferProcess.start();
});
afterAll(async () => {
  await coffer?.dispose();
});

interface Step {
  readonly command: string;
  readonly output: string;
}

function stepsOf(markdown: string): Step[] {
  const blocks = [...markdown.matchAll(/```console\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
  return blocks.flatMap((block) =>
    block
      .split(/^\$ /m)
      .filter((part) => part !== '')
      .map((part) => {
        const [command = '', ...output] = part.split('\n');
        return { command, output: output.join('\n') };
      }),
  );
}

describe('README', () => {
  it('shows a session that works as printed', async () => {
    const steps = stepsOf(await readFile(`${root}/README.md`, 'utf8'));
    expect(steps.length).toBeGreaterThan(10);
    const env = { KUBECONFIG: coffer.kubeconfig, PATH: `${kubectlPath.replace(/\/kubectl$/, '')}:${process.env.PATH ?? ''}` };
    for (const { command, output } of steps) {
      if (command.startsWith('export ')) continue;
      const { code, stdout, stderr } = await runCommand('bash', ['-c', `cd '${root}' && ${command}`], { env });
      expect({ command, code, stdout, stderr: code === 0 ? '' : stderr }).toEqual({ command, code: 0, stdout: output, stderr: '' });
    }
  });
});
