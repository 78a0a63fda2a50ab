/**
 * The environment of one container. Precedence as upstream: envFrom in order, then env over it, then service variables that nobody
 * set. Values are bytes: inside, text is held with one character per byte, so that Secret data of any kind passes unharmed.
 */

import { isReason } from '@coffer/api/errors/status-error';
import type { KubeObject } from '@coffer/api/meta/object';
import { getOwn, isRecord } from '@coffer/api/meta/safe-object';
import { type ObjectSource, recordOf, type SourceRecord } from '../objects/source-record.ts';
import type { Container } from '../types.ts';
import { expand } from './expand.ts';
import { type FieldContext, fieldValue, resourceValue } from './field-ref.ts';

export interface EnvContext extends FieldContext {
  readonly objects: ObjectSource;
  readonly allocatable: Readonly<Record<string, string>>;
  readonly services: ReadonlyMap<string, string>;
  /** Reads one variable from an env file of a volume (`fileKeyRef`); undefined when the file has no such key. */
  readonly readEnvFile: (volumeName: string, path: string, key: string) => Promise<string | undefined>;
}

export interface ContainerEnv {
  /** In order of first definition. */
  readonly variables: readonly { readonly name: string; readonly value: Uint8Array }[];
  /** Resolves `$(VAR)` in command and args. */
  readonly expand: (text: string) => string;
  /** Every ConfigMap and Secret that was used, once. */
  readonly sources: readonly SourceRecord[];
}

/** Throws with upstream's message when a reference that is not optional cannot be resolved. */
export async function containerEnv(container: Container, context: EnvContext): Promise<ContainerEnv> {
  const builder = new EnvBuilder(context);
  await builder.addFrom(container);
  await builder.addEnv(container);
  return builder.finish();
}

class EnvBuilder {
  readonly #context: EnvContext;
  readonly #values = new Map<string, string>();
  readonly #objects = new Map<string, KubeObject>();

  constructor(context: EnvContext) {
    this.#context = context;
  }

  async addFrom(container: Container): Promise<void> {
    for (const from of container.envFrom ?? []) {
      const reference = from.configMapRef ?? from.secretRef;
      if (reference === undefined) continue;
      const kind = from.configMapRef !== undefined ? 'ConfigMap' : 'Secret';
      const object = await this.#object(kind, reference.name ?? '', reference.optional === true);
      if (object === undefined) continue;
      const data = dataOf(object);
      for (const key of Object.keys(data)) this.#set(`${from.prefix ?? ''}${key}`, decodeValue(kind, getOwn(data, key) ?? ''));
    }
  }

  async addEnv(container: Container): Promise<void> {
    const { namespace } = this.#context.pod.metadata;
    for (const variable of container.env ?? []) {
      const source = variable.valueFrom;
      let value = '';
      if (variable.value !== undefined && variable.value !== '') {
        value = expand(toBytes(variable.value), (name) => this.#lookup(name));
      } else if (source?.fieldRef !== undefined) {
        value = toBytes(fieldValue(source.fieldRef.fieldPath, this.#context));
      } else if (source?.resourceFieldRef !== undefined) {
        value = resourceValue(source.resourceFieldRef, this.#context.pod, container, this.#context.allocatable);
      } else if (source?.configMapKeyRef !== undefined || source?.secretKeyRef !== undefined) {
        const kind = source.configMapKeyRef !== undefined ? 'ConfigMap' : 'Secret';
        const reference = source.configMapKeyRef ?? source.secretKeyRef;
        if (reference === undefined) continue;
        const optional = reference.optional === true;
        const object = await this.#object(kind, reference.name ?? '', optional);
        if (object === undefined) continue;
        const entry = getOwn(dataOf(object), reference.key);
        if (entry === undefined) {
          if (optional) continue;
          throw new Error(`couldn't find key ${reference.key} in ${kind} ${namespace}/${reference.name ?? ''}`);
        }
        value = decodeValue(kind, entry);
      } else if (source?.fileKeyRef !== undefined) {
        const { volumeName, path, key, optional } = source.fileKeyRef;
        const entry = await this.#context.readEnvFile(volumeName, path, key);
        if (entry === undefined || entry === '') {
          if (optional === true) continue;
          throw new Error(`environment variable key ${JSON.stringify(key)} not found in file ${JSON.stringify(path)}`);
        }
        value = toBytes(entry);
      }
      this.#set(variable.name, value);
    }
  }

  finish(): ContainerEnv {
    const variables: { name: string; value: Uint8Array }[] = [];
    for (const [name, value] of this.#values) variables.push({ name, value: Buffer.from(value, 'latin1') });
    for (const [name, value] of this.#context.services) {
      if (!this.#values.has(name)) variables.push({ name, value: Buffer.from(value, 'utf8') });
    }
    return {
      variables,
      expand: (text) =>
        Buffer.from(
          expand(toBytes(text), (name) => this.#lookup(name)),
          'latin1',
        ).toString('utf8'),
      sources: [...this.#objects].map(([key, object]) => recordOf(key.startsWith('ConfigMap/') ? 'ConfigMap' : 'Secret', object)),
    };
  }

  #lookup(name: string): string | undefined {
    // References are compared as bytes too.
    const own = this.#values.get(Buffer.from(name, 'latin1').toString('utf8'));
    if (own !== undefined) return own;
    const service = this.#context.services.get(name);
    return service === undefined ? undefined : toBytes(service);
  }

  #set(name: string, value: string): void {
    if (value.includes('\0') || name.includes('\0')) {
      throw new Error(`environment variable ${JSON.stringify(name)} holds a NUL byte, which no process environment can carry`);
    }
    this.#values.set(name, value);
  }

  async #object(kind: 'ConfigMap' | 'Secret', name: string, optional: boolean): Promise<KubeObject | undefined> {
    const key = `${kind}/${name}`;
    const known = this.#objects.get(key);
    if (known !== undefined) return known;
    try {
      const object = kind === 'ConfigMap' ? await this.#context.objects.configMap(name) : await this.#context.objects.secret(name);
      this.#objects.set(key, object);
      return object;
    } catch (error) {
      if (optional && isReason(error, 'NotFound')) return undefined;
      throw error;
    }
  }
}

/** `data` only: binaryData of a ConfigMap does not become variables. */
function dataOf(object: KubeObject): Readonly<Record<string, string>> {
  const data = object.data;
  return isRecord(data) ? (data as Record<string, string>) : {};
}

function decodeValue(kind: 'ConfigMap' | 'Secret', text: string): string {
  return kind === 'ConfigMap' ? toBytes(text) : Buffer.from(text, 'base64').toString('latin1');
}

function toBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
