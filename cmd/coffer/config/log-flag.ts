import { type Command, Option } from 'commander';

/** `--log-level`, the same for every command. */
export interface LogFlags {
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
}

export function addLogFlag(command: Command): void {
  command.addOption(
    new Option('--log-level <level>', 'least level that is logged').choices(['debug', 'info', 'warn', 'error']).default('warn'),
  );
}
