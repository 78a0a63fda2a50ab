/**
 * Remembers which images this node pulled and with whose credentials, so that a pod cannot use a private image only because another
 * pod pulled it. Upstream's default rule: images that the kubelet never pulled are for everybody, the others for pods with credentials
 * that once worked. Credentials themselves are never written, only salted digests of them.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isRecord } from '@coffer/api/meta/safe-object';
import { makePrivateDirectory, writeFileAtomic } from '@coffer/base/files/atomic-file';
import type { RegistryAuth } from '@coffer/cri/runtime/container-runtime';

interface PulledRecord {
  readonly imageRef: string;
  readonly salt: string;
  /** Image names and who may use them: everybody, or whoever has credentials with one of the digests. */
  readonly names: readonly { readonly image: string; readonly everybody: boolean; readonly digests: readonly string[] }[];
}

export class PulledRecords {
  readonly #pulled: string;
  readonly #pulling: string;

  constructor(directory: string) {
    this.#pulled = join(directory, 'pulled');
    this.#pulling = join(directory, 'pulling');
  }

  /** Before a pull: should the kubelet die in the middle of it, the image is not taken for one that was always there. */
  async begin(image: string): Promise<void> {
    await makePrivateDirectory(this.#pulling);
    await writeFileAtomic(join(this.#pulling, nameOf(image)), image);
  }

  /** After a pull that failed. */
  async abandon(image: string): Promise<void> {
    await rm(join(this.#pulling, nameOf(image)), { force: true });
  }

  /** After a pull that worked, with the credentials it worked with. */
  async pulled(imageRef: string, image: string, auth: RegistryAuth | undefined): Promise<void> {
    const before = await this.#read(imageRef);
    const salt = before?.salt ?? randomBytes(16).toString('hex');
    const known = before?.names.find((name) => name.image === image);
    const digests = new Set(known?.digests ?? []);
    if (auth !== undefined) digests.add(digestOf(auth, salt));
    const name = { image, everybody: auth === undefined || known?.everybody === true, digests: [...digests] };
    const names = [...(before?.names ?? []).filter((other) => other.image !== image), name];
    await makePrivateDirectory(this.#pulled);
    await writeFileAtomic(join(this.#pulled, nameOf(imageRef)), JSON.stringify({ imageRef, salt, names } satisfies PulledRecord));
    await this.abandon(image);
  }

  /** Whether a pod may use an image that is there under this name without asking its registry again. */
  async mayUse(imageRef: string, image: string, credentials: () => Promise<readonly RegistryAuth[]>): Promise<boolean> {
    const record = await this.#read(imageRef);
    if (record === undefined) return !(await this.#beingPulled(image));
    const name = record.names.find((known) => known.image === image);
    if (name === undefined) return false;
    if (name.everybody) return true;
    return (await credentials()).some((auth) => name.digests.includes(digestOf(auth, record.salt)));
  }

  /** Forgets the images that are not there. `list` is asked after the records are read: a pull in between loses nothing. */
  async forgetOthers<T>(list: () => Promise<T>, idsOf: (listed: T) => readonly string[]): Promise<T> {
    const names = await readdir(this.#pulled).catch(() => []);
    const listed = await list();
    const kept = new Set(idsOf(listed).map(nameOf));
    for (const name of names) if (!kept.has(name)) await rm(join(this.#pulled, name), { force: true });
    return listed;
  }

  async #beingPulled(image: string): Promise<boolean> {
    return (await readFile(join(this.#pulling, nameOf(image)), 'utf8').catch(() => undefined)) === image;
  }

  async #read(imageRef: string): Promise<PulledRecord | undefined> {
    let text: string;
    try {
      text = await readFile(join(this.#pulled, nameOf(imageRef)), 'utf8');
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      throw error;
    }
    const parsed: unknown = JSON.parse(text);
    if (!isRecord(parsed) || parsed.imageRef !== imageRef) throw new Error(`the record of pulled image ${imageRef} is damaged`);
    return parsed as unknown as PulledRecord;
  }
}

function nameOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function digestOf(auth: RegistryAuth, salt: string): string {
  const { username, password, identityToken, registryToken } = auth;
  return createHash('sha256')
    .update(JSON.stringify([salt, username, password, identityToken, registryToken]))
    .digest('hex');
}
