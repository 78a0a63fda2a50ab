import { systemClock } from '@coffer/base/time/clock';
import { loadKubeconfig, resolveConnection } from '@coffer/client/kubeconfig/connection';
import { ApiClient } from '@coffer/client/rest/api-client';
import { httpsTransport } from '@coffer/client/transport/https';
import { dataPaths } from '../config/paths.ts';
import type { ServerFlags } from './command.ts';

/** Runs `action` with a client of the server that `--kubeconfig`, or else the data directory's kubeconfig, names. */
export async function withServer<T>(flags: ServerFlags, action: (client: ApiClient) => Promise<T>): Promise<T> {
  const file = flags.kubeconfig ?? dataPaths(flags.dataDir).kubeconfig;
  const connection = resolveConnection(loadKubeconfig(file), systemClock);
  const transport = httpsTransport({ connection, clock: systemClock, userAgent: 'coffer' });
  try {
    return await action(new ApiClient({ transport, clock: systemClock }));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') throw new Error(`no server answers at ${connection.server} (${file})`);
    throw error;
  } finally {
    transport.close();
  }
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

export function printLine(line = ''): void {
  process.stdout.write(`${line}\n`);
}

/** Columns as wide as their longest cell. */
export function printTable(rows: readonly (readonly string[])[]): void {
  const widths = rows.reduce<number[]>((known, row) => row.map((cell, i) => Math.max(known[i] ?? 0, cell.length)), []);
  for (const row of rows)
    printLine(
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('   ')
        .trimEnd(),
    );
}
