/**
 * How a container's root comes about. Root lays one overlay over the machine's root directory. A plain user's overlays cannot cover
 * the root directory itself, so each directory below it gets one of its own, in a root of tmpfs.
 */
import { lstat, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type Instruction, mountFlags } from './program.ts';
import type { ContainerPaths } from './state-directory.ts';

export type RootLayout =
  | { readonly kind: 'whole'; readonly lowerDirectories: readonly string[] }
  | { readonly kind: 'by-directory'; readonly entries: readonly RootEntry[] };

/** What one name below `/` becomes. */
export type RootEntry =
  | { readonly kind: 'link'; readonly name: string; readonly target: string }
  | { readonly kind: 'empty'; readonly name: string; readonly mode: string }
  | { readonly kind: 'overlay'; readonly name: string; readonly lowerDirectories: readonly string[] };

/** Mount points, and what a container never sees. */
const emptyNames: ReadonlyMap<string, string> = new Map([
  ['proc', '755'],
  ['sys', '755'],
  ['dev', '755'],
  ['run', '755'],
  ['tmp', '1777'],
  ['root', '700'],
  ['home', '755'],
  ['mnt', '755'],
  ['media', '755'],
  ['boot', '755'],
]);

/** The layout for a plain user: `maskLayer` holds what is hidden, `hidden` are the names below `/` that are hidden completely. */
export async function byDirectoryLayout(maskLayer: string | undefined): Promise<RootLayout> {
  const entries: RootEntry[] = [];
  for (const name of (await readdir('/')).sort()) {
    const info = await lstat(join('/', name));
    const mode = emptyNames.get(name);
    if (mode !== undefined) entries.push({ kind: 'empty', name, mode });
    else if (info.isSymbolicLink()) entries.push({ kind: 'link', name, target: await readlink(join('/', name)) });
    else if (info.isDirectory() && (await readable(join('/', name)))) {
      const mask = maskLayer === undefined ? undefined : await lstat(join(maskLayer, name)).catch(() => undefined);
      // A whiteout in the layer hides the whole directory.
      if (mask && !mask.isDirectory()) continue;
      const lower = join('/', name);
      entries.push({ kind: 'overlay', name, lowerDirectories: mask && maskLayer !== undefined ? [join(maskLayer, name), lower] : [lower] });
    }
  }
  return { kind: 'by-directory', entries };
}

/** Instructions that mount the root, before the root changes. */
export function rootInstructions(layout: RootLayout, paths: ContainerPaths, flags: number): Instruction[] {
  const overlay = (target: string, lower: readonly string[], upper: string, work: string, extra: string): Instruction => [
    'mount',
    'overlay',
    target,
    'overlay',
    flags,
    `lowerdir=${lower.join(':')},upperdir=${upper},workdir=${work},index=off${extra}`,
  ];
  if (layout.kind === 'whole') return [overlay(paths.root, layout.lowerDirectories, paths.upper, paths.work, '')];
  return [
    ['mount', 'tmpfs', paths.root, 'tmpfs', mountFlags.noSuid | mountFlags.noDev, 'mode=755,size=65536k'],
    ...layout.entries.flatMap((entry): Instruction[] => {
      const target = join(paths.root, entry.name);
      if (entry.kind === 'link') return [['symlink', entry.target, target]];
      if (entry.kind === 'empty') return [['mkdir', target, entry.mode]];
      const upper = join(paths.upper, entry.name);
      const work = join(paths.work, entry.name);
      return [
        ...[target, upper, work].map((path): Instruction => ['mkdir', path, '755']),
        overlay(target, entry.lowerDirectories, upper, work, ',userxattr'),
      ];
    }),
  ];
}

async function readable(path: string): Promise<boolean> {
  return readdir(path).then(
    () => true,
    () => false,
  );
}
