/**
 * The files of configMap, secret, downwardAPI and projected volumes. Every failing source of a projected volume is reported, as
 * upstream does. Nothing is written here.
 */

import { isReason } from '@coffer/api/errors/status-error';
import type { V1DownwardAPIVolumeFile, V1KeyToPath, V1ServiceAccountTokenProjection } from '@coffer/api/generated/types';
import type { KubeObject } from '@coffer/api/meta/object';
import { getOwn, isRecord } from '@coffer/api/meta/safe-object';
import { type FieldContext, fieldValue, resourceValue } from '../env/field-ref.ts';
import { type ObjectSource, recordOf, type SourceRecord } from '../objects/source-record.ts';
import type { Pod, Volume } from '../types.ts';
import { allContainers } from '../types.ts';
import type { FileProjection } from './atomic-writer.ts';

export interface PayloadContext extends FieldContext {
  readonly objects: ObjectSource;
  readonly allocatable: Readonly<Record<string, string>>;
  /** Whether files can be given to other users than the one that writes them. */
  readonly givesFilesAway: boolean;
  /** A token for the pod's service account, kept fresh by the caller. */
  readonly serviceAccountToken: (projection: V1ServiceAccountTokenProjection) => Promise<string>;
}

export interface VolumePayload {
  readonly files: ReadonlyMap<string, FileProjection>;
  readonly sources: readonly SourceRecord[];
}

const defaultFileMode = 0o644;

/** Kinds of volume whose files the kubelet writes itself. */
export function isProjectedKind(volume: Volume): boolean {
  return (
    volume.configMap !== undefined || volume.secret !== undefined || volume.projected !== undefined || volume.downwardAPI !== undefined
  );
}

/** Kinds of volume whose files never reach a disk. */
export function livesInMemory(volume: Volume): boolean {
  return volume.secret !== undefined || volume.projected !== undefined || volume.downwardAPI !== undefined;
}

export async function volumePayload(volume: Volume, context: PayloadContext): Promise<VolumePayload> {
  const builder = new PayloadBuilder(context);
  if (volume.configMap !== undefined) {
    const { name, items, optional, defaultMode } = volume.configMap;
    await builder.addObject('ConfigMap', name ?? '', items, optional === true, defaultMode);
  } else if (volume.secret !== undefined) {
    const { secretName, items, optional, defaultMode } = volume.secret;
    await builder.addObject('Secret', secretName ?? '', items, optional === true, defaultMode);
  } else if (volume.downwardAPI !== undefined) {
    builder.addDownward(volume.downwardAPI.items ?? [], volume.downwardAPI.defaultMode);
  } else if (volume.projected !== undefined) {
    await builder.addProjected(volume.projected.sources ?? [], volume.projected.defaultMode);
  }
  return builder.finish();
}

class PayloadBuilder {
  readonly #context: PayloadContext;
  readonly #files = new Map<string, FileProjection>();
  readonly #sources: SourceRecord[] = [];

  constructor(context: PayloadContext) {
    this.#context = context;
  }

  finish(): VolumePayload {
    return { files: this.#files, sources: this.#sources };
  }

  async addObject(
    kind: 'ConfigMap' | 'Secret',
    name: string,
    items: readonly V1KeyToPath[] | undefined,
    optional: boolean,
    defaultMode: number | undefined,
  ): Promise<void> {
    let object: KubeObject;
    try {
      object = kind === 'ConfigMap' ? await this.#context.objects.configMap(name) : await this.#context.objects.secret(name);
    } catch (error) {
      if (optional && isReason(error, 'NotFound')) return;
      throw error;
    }
    this.#sources.push(recordOf(kind, object));
    const mode = defaultMode ?? defaultFileMode;
    if (items === undefined || items.length === 0) {
      for (const [key, data] of contentOf(kind, object)) this.#files.set(key, { data, mode });
      return;
    }
    const content = contentOf(kind, object);
    for (const item of items) {
      const data = content.get(item.key);
      if (data === undefined) {
        if (optional) continue;
        throw new Error(
          kind === 'ConfigMap'
            ? `configmap references non-existent config key: ${item.key}`
            : `references non-existent secret key: ${item.key}`,
        );
      }
      this.#files.set(cleanPath(item.path), { data, mode: item.mode ?? mode });
    }
  }

  addDownward(items: readonly V1DownwardAPIVolumeFile[], defaultMode: number | undefined): void {
    const errors: string[] = [];
    for (const item of items) {
      try {
        let text = '';
        if (item.fieldRef !== undefined) text = fieldValue(item.fieldRef.fieldPath, this.#context);
        else if (item.resourceFieldRef !== undefined) {
          text = resourceValue(item.resourceFieldRef, this.#context.pod, undefined, this.#context.allocatable);
        }
        this.#files.set(cleanPath(item.path), { data: Buffer.from(text, 'utf8'), mode: item.mode ?? defaultMode ?? defaultFileMode });
      } catch (error) {
        errors.push(messageOf(error));
      }
    }
    throwAggregate(errors);
  }

  async addProjected(sources: NonNullable<NonNullable<Volume['projected']>['sources']>, defaultMode: number | undefined): Promise<void> {
    const errors: string[] = [];
    for (const source of sources) {
      try {
        if (source.configMap !== undefined) {
          const { name, items, optional } = source.configMap;
          await this.addObject('ConfigMap', name ?? '', items, optional === true, defaultMode);
        } else if (source.secret !== undefined) {
          const { name, items, optional } = source.secret;
          await this.addObject('Secret', name ?? '', items, optional === true, defaultMode);
        } else if (source.downwardAPI !== undefined) this.addDownward(source.downwardAPI.items ?? [], defaultMode);
        else if (source.serviceAccountToken !== undefined) await this.#addToken(source.serviceAccountToken, defaultMode);
        else if (source.clusterTrustBundle !== undefined) {
          if (source.clusterTrustBundle.optional === true) continue;
          throw new Error('clusterTrustBundle projections are not supported: the API server serves no ClusterTrustBundle objects');
        } else if (source.podCertificate !== undefined) {
          throw new Error('podCertificate projections are not supported: the API server serves no PodCertificateRequest objects');
        }
      } catch (error) {
        errors.push(messageOf(error));
      }
    }
    throwAggregate(errors);
  }

  async #addToken(projection: V1ServiceAccountTokenProjection, defaultMode: number | undefined): Promise<void> {
    const token = await this.#context.serviceAccountToken(projection);
    const uid = commonUser(this.#context.pod);
    const group = this.#context.pod.spec.securityContext?.fsGroup;
    const mode = uid !== undefined || group !== undefined ? 0o600 : (defaultMode ?? defaultFileMode);
    this.#files.set(cleanPath(projection.path), {
      data: Buffer.from(token, 'utf8'),
      mode,
      uid: this.#context.givesFilesAway ? uid : undefined,
    });
  }
}

/** The user that every container of the pod runs as, when it is one and the same. */
function commonUser(pod: Pod): number | undefined {
  const users = allContainers(pod)
    .filter((entry) => entry.kind !== 'ephemeral')
    .map(({ container }) => container.securityContext?.runAsUser ?? pod.spec.securityContext?.runAsUser);
  const first = users[0];
  return users.every((user) => user === first) ? first : undefined;
}

/** What the keys of an object hold, decoded once for all the pods that use it. */
const decoded = new WeakMap<KubeObject, ReadonlyMap<string, Uint8Array>>();

function contentOf(kind: 'ConfigMap' | 'Secret', object: KubeObject): ReadonlyMap<string, Uint8Array> {
  const known = decoded.get(object);
  if (known !== undefined) return known;
  const content = new Map<string, Uint8Array>();
  const data = isRecord(object.data) ? object.data : {};
  for (const key of Object.keys(data)) content.set(key, Buffer.from(String(getOwn(data, key)), kind === 'Secret' ? 'base64' : 'utf8'));
  const binary = kind === 'ConfigMap' && isRecord(object.binaryData) ? object.binaryData : {};
  for (const key of Object.keys(binary)) content.set(key, Buffer.from(String(getOwn(binary, key)), 'base64'));
  decoded.set(object, content);
  return content;
}

/** `a//b/./c` → `a/b/c`; `..` stays for the writer to refuse. */
function cleanPath(path: string): string {
  const cleaned = path
    .split('/')
    .filter((segment) => segment !== '' && segment !== '.')
    .join('/');
  return path.startsWith('/') ? `/${cleaned}` : cleaned;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function throwAggregate(messages: readonly string[]): void {
  const unique = [...new Set(messages)];
  if (unique.length > 0) throw new Error(unique.length === 1 ? unique[0] : `[${unique.join(', ')}]`);
}
