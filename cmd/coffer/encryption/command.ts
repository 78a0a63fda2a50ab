import { type Command, Option } from 'commander';
import { parseInteger } from '../config/parse.ts';
import { defaultDataDir } from '../config/server-flags.ts';

/** Flags of all commands that ask a running server about its store. */
export interface ServerFlags {
  readonly dataDir: string;
  readonly kubeconfig?: string;
  readonly output: 'text' | 'json';
}

/** `coffer encryption …`, `coffer backup` and `coffer restore`. */
export function addEncryptionCommands(program: Command): void {
  const encryption = program.command('encryption').description('encryption at rest: what uses which key, change keys, prove it');
  withServerFlags(encryption.command('status').description('objects per resource by provider and key')).action(
    async (flags: ServerFlags) => {
      const { runStatus } = await import('./status.ts');
      await runStatus(flags);
    },
  );
  withServerFlags(
    encryption
      .command('rotate')
      .description('replace the keys, write every object anew and remove what is left of the old ones; goes on where it was cut off')
      .option('--rate <n>', 'objects written anew per second', parseInteger(1, 100_000), 200),
  ).action(async (flags: ServerFlags & { readonly rate: number }) => {
    const { runRotate } = await import('./rotate.ts');
    await runRotate(flags);
  });
  withServerFlags(
    encryption.command('verify').description("decrypt every Secret, and search the store's files for their values in the clear"),
  ).action(async (flags: ServerFlags) => {
    const { runVerify } = await import('./verify.ts');
    await runVerify(flags);
  });
  withServerFlags(
    program.command('backup <file>').description('copy the store of a running server, still encrypted and without the keys'),
  ).action(async (file: string, flags: ServerFlags) => {
    const { runBackup } = await import('./backup.ts');
    await runBackup(file, flags);
  });
  program
    .command('restore <file>')
    .description('make a new data directory from a backup')
    .option('--data-dir <dir>', 'the directory to make; may hold nothing but pki/', defaultDataDir)
    .action(async (file: string, flags: { readonly dataDir: string }) => {
      const { runRestore } = await import('./restore.ts');
      await runRestore(file, flags.dataDir);
    });
}

function withServerFlags(command: Command): Command {
  return command
    .option('--data-dir <dir>', 'the directory `coffer up` uses; its kubeconfig is the default', defaultDataDir)
    .option('--kubeconfig <file>', 'how to reach the server')
    .addOption(new Option('-o, --output <format>', 'how the answer is printed').choices(['text', 'json']).default('text'));
}
