/** Who a container's process is: numbers and groups from the machine's own user database, as an image's would be read. */
import { readFile } from 'node:fs/promises';
import { RuntimeRefusal } from '../runtime/container-runtime.ts';

/** What the kernel is told about a process. `groups` always contains `gid`. */
export interface ProcessIdentity {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  readonly home: string;
}

interface RequestedUser {
  readonly runAsUser: number | undefined;
  readonly runAsUserName: string | undefined;
  readonly runAsGroup: number | undefined;
  readonly supplementalGroups: readonly number[];
  readonly strictGroups: boolean;
}

/**
 * Resolves the user of a container. Without a user it is root. Without a group it is the user's own, or 0 for a number that is not
 * in the database. Groups that list the user as a member are added, as container engines do, unless that was forbidden.
 */
export async function resolveIdentity(requested: RequestedUser, etcDirectory = '/etc'): Promise<ProcessIdentity> {
  const passwd = parse(await readFile(`${etcDirectory}/passwd`, 'utf8').catch(() => ''));
  const group = parse(await readFile(`${etcDirectory}/group`, 'utf8').catch(() => ''));
  const name = requested.runAsUserName;
  const uid = requested.runAsUser ?? (name === undefined || name === '' ? 0 : undefined);
  const entry = passwd.find((fields) => (uid === undefined ? fields[0] === name : Number(fields[2]) === uid));
  if (uid === undefined && !entry) {
    throw new RuntimeRefusal('RunContainerError', `unable to find user ${name}: no matching entries in passwd file`);
  }
  const gid = requested.runAsGroup ?? (entry ? Number(entry[3]) : 0);
  const groups = new Set([gid, ...requested.supplementalGroups]);
  if (entry && !requested.strictGroups) {
    for (const fields of group) if ((fields[3] ?? '').split(',').includes(entry[0] ?? '')) groups.add(Number(fields[2]));
  }
  return { uid: uid ?? Number(entry?.[2]), gid, groups: [...groups], home: entry?.[5] || '/' };
}

function parse(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line.includes(':'))
    .map((line) => line.split(':'));
}
