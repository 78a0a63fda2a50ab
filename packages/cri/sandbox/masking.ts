/**
 * What a container must not see of the machine whose files it runs on. Hidden paths are an overlay layer of their own between the
 * container's writable layer and the machine's root: an opaque directory is an empty one, a whiteout is a file that is not there.
 * This costs no mount, and cannot be unmounted from inside.
 */
import { createHash } from 'node:crypto';
import { lstat, realpath, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Instruction } from './program.ts';
import { removeTree, type StateDirectory } from './state-directory.ts';

/** Directories that a container finds empty, and its own to write to. */
const emptyDirectories = [
  '/root',
  '/home',
  '/run',
  '/var/run',
  '/tmp',
  '/var/tmp',
  '/var/log',
  '/var/mail',
  '/var/backups',
  '/var/spool',
  '/var/lib/kubelet',
  '/var/lib/containerd',
  '/var/lib/containers',
  '/var/lib/docker',
  '/var/lib/etcd',
  '/var/lib/sudo',
  '/etc/kubernetes',
  '/etc/ssl/private',
  '/etc/sudoers.d',
  '/etc/wireguard',
  '/mnt',
  '/media',
  '/boot',
];

/** Files that a container does not find. */
const hiddenFiles = [
  '/etc/shadow',
  '/etc/shadow-',
  '/etc/gshadow',
  '/etc/gshadow-',
  '/etc/sudoers',
  '/etc/security/opasswd',
  '/etc/krb5.keytab',
  '/etc/ssh/ssh_host_rsa_key',
  '/etc/ssh/ssh_host_dsa_key',
  '/etc/ssh/ssh_host_ecdsa_key',
  '/etc/ssh/ssh_host_ed25519_key',
  '/etc/machine-id',
  '/swapfile',
];

interface Hidden {
  readonly path: string;
  readonly kind: 'empty' | 'absent';
}

/**
 * Builds the layer for these paths, or finds the one an earlier start has built: layers never change, because running containers
 * stand on them. Resolves to its directory.
 */
export async function buildMaskLayer(
  state: StateDirectory,
  maskedPaths: readonly string[],
  runProgram: (instructions: readonly Instruction[]) => Promise<void>,
  opaqueAttribute: 'trusted.overlay.opaque' | 'user.overlay.opaque',
): Promise<string> {
  const hidden = await hiddenPaths([...maskedPaths, state.root]);
  const hash = createHash('sha256')
    .update(JSON.stringify([hidden, opaqueAttribute]))
    .digest('hex')
    .slice(0, 16);
  const layer = join(state.masks, hash);
  if (await exists(layer)) return layer;
  const building = `${layer}.building`;
  await removeTree(building);
  await runProgram(await layerInstructions(building, hidden, opaqueAttribute));
  await rename(building, layer);
  return layer;
}

/** Hidden paths without symbolic links, sorted, none below another. */
async function hiddenPaths(maskedPaths: readonly string[]): Promise<Hidden[]> {
  const found = new Map<string, Hidden>();
  for (const path of emptyDirectories) {
    if ((await lstat(path).catch(() => undefined))?.isDirectory()) found.set(path, { path, kind: 'empty' });
  }
  for (const path of hiddenFiles) if (await exists(path)) found.set(path, { path, kind: 'absent' });
  for (const masked of maskedPaths) {
    const path = await resolved(masked);
    if (path === '/') throw new Error(`cannot mask ${masked}: it is the root directory`);
    if (!found.has(path)) found.set(path, { path, kind: 'absent' });
  }
  const sorted = [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  return sorted.filter((entry) => !sorted.some((other) => entry.path.startsWith(`${other.path}/`)));
}

/** The path without symbolic links as far as it exists; of what does not exist yet, the first missing part is hidden. */
async function resolved(path: string): Promise<string> {
  const real = await realpath(path).catch(() => undefined);
  if (real !== undefined) return real;
  const parent = await realpath(dirname(path)).catch(() => undefined);
  return parent === undefined ? resolved(dirname(path)) : join(parent, path.slice(dirname(path).length));
}

const rootOwner = { uid: 0, gid: 0 };

/** A plain user can only make files of its own. */
function owner(wanted: { readonly uid: number; readonly gid: number }): [number, number] {
  const uid = process.getuid?.() ?? 0;
  return uid === 0 ? [wanted.uid, wanted.gid] : [uid, process.getgid?.() ?? 0];
}

async function layerInstructions(layer: string, hidden: readonly Hidden[], opaqueAttribute: string): Promise<Instruction[]> {
  const instructions: Instruction[] = [['directory', layer, '755', ...owner(rootOwner)]];
  const made = new Set<string>(['/']);
  const directory = async (path: string): Promise<void> => {
    if (made.has(path)) return;
    await directory(dirname(path));
    made.add(path);
    const stat = await lstat(path);
    instructions.push(['directory', layer + path, (stat.mode & 0o7777).toString(8), ...owner(stat)]);
  };
  for (const { path, kind } of hidden) {
    await directory(dirname(path));
    if (kind === 'absent') instructions.push(['whiteout', layer + path]);
    else {
      await directory(path);
      instructions.push(['opaque', layer + path, opaqueAttribute]);
    }
  }
  if (hidden.some(({ path }) => path === '/run')) instructions.push(['directory', `${layer}/run/lock`, '1777', ...owner(rootOwner)]);
  return instructions;
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
