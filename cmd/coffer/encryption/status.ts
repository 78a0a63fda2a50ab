import type { EncryptionStatus } from '@coffer/storage/rotation/encryption-status';
import type { RotationProgress, RotationRecord } from '@coffer/storage/rotation/rotation';
import type { ServerFlags } from './command.ts';
import { printJson, printLine, printTable, withServer } from './server-client.ts';

export type ServerStatus = EncryptionStatus & { readonly rotation?: RotationProgress; readonly unfinishedRotation?: RotationRecord };

/** `coffer encryption status` */
export async function runStatus(flags: ServerFlags): Promise<void> {
  const status = await withServer(
    flags,
    async (client) => (await client.json({ method: 'GET', path: '/coffer/v1/encryption' })) as ServerStatus,
  );
  if (flags.output === 'json') {
    printJson(status);
    return;
  }
  printLine(`configuration: ${status.configurationFile}`);
  if (status.configurationError !== undefined) printLine(`NOT IN USE as it is now: ${status.configurationError}`);
  printLine();
  const rows = status.resources.map(({ resource, writesWith, objects, stale, unreadable }) => {
    const counts = Object.entries(objects).map(([key, count]) => `${key}: ${count}`);
    return [resource, writesWith, counts.join(', ') || 'none', String(stale), String(unreadable)];
  });
  printTable([['RESOURCE', 'WRITTEN WITH', 'OBJECTS BY KEY', 'STALE', 'UNREADABLE'], ...rows]);
  printLine();
  for (const { key, writes } of status.keyWrites) printLine(`${key} has encrypted ${writes} values`);
  if (status.rotation?.running) printLine(`a rotation is running: step ${status.rotation.step} of 5`);
  if (status.unfinishedRotation !== undefined) {
    printLine(`a rotation was cut off in step ${status.unfinishedRotation.step} of 5: coffer encryption rotate goes on with it`);
  }
  for (const warning of status.warnings) printLine(`warning: ${warning}`);
}
