/**
 * `metadata.managedFields` of every write that is not an apply. Pure: reads the objects, returns the entries the caller stores.
 * This is on the path of every write, so nothing is decoded or built that did not change.
 */
import type { KubeObject, ManagedFieldsEntry } from '../meta/object.ts';
import type { Managers } from './managers.ts';
import { capUpdateManagers, decodeManagers, encodeManagers } from './managers.ts';
import type { TypeContext } from './ownership.ts';
import { recordUpdate } from './ownership.ts';

export interface TrackUpdateOptions extends TypeContext {
  /** Undefined on create. */
  readonly live: KubeObject | undefined;
  /** The object as it will be stored, defaulted; its managedFields are what the client sent. */
  readonly next: KubeObject;
  /** The fieldManager option, or what `managerFromUserAgent` makes of the client. */
  readonly manager: string;
  /** Empty for the object itself. */
  readonly subresource: string;
  /** RFC 3339, UTC, whole seconds. */
  readonly now: string;
}

/**
 * The entries after the write; empty when the object is not tracked (a client reset it, or it was stored without). A client may
 * send entries of its own, except through a subresource; malformed ones are ignored.
 */
export function trackUpdate(options: TrackUpdateOptions): ManagedFieldsEntry[] {
  const { live, next } = options;
  const managers = startingManagers(options);
  if (managers.size === 0 && live !== undefined) return [];
  recordUpdate(options, managers, live, next, options);
  capUpdateManagers(managers);
  return encodeManagers(managers);
}

/** Longest name of a manager, in bytes. */
const MAX_MANAGER_BYTES = 128;

/** Name of the manager that a client gets when it does not choose one: its user agent up to the first slash. */
export function managerFromUserAgent(userAgent: string): string {
  const [product = ''] = userAgent.split('/');
  let name = '';
  for (const char of product) {
    if (/[\p{C}\p{Zl}\p{Zp}]/u.test(char) || (char !== ' ' && /\p{Zs}/u.test(char))) continue;
    if (Buffer.byteLength(name + char) > MAX_MANAGER_BYTES) break;
    name += char;
  }
  return name;
}

function startingManagers({ live, next, subresource }: TrackUpdateOptions): Managers {
  const stored = live?.metadata.managedFields;
  const sent = next.metadata.managedFields;
  if (subresource === '') {
    if (isReset(sent)) return new Map();
    const managers = decodeManagers(sent, stored);
    if (managers !== undefined && managers.size > 0) return managers;
  }
  return decodeManagers(stored, stored) ?? new Map();
}

/** An empty list, or a list of one empty entry, asks to forget all managers. */
function isReset(entries: readonly ManagedFieldsEntry[] | undefined | null): boolean {
  if (entries === undefined || entries === null || entries.length > 1) return false;
  const [only] = entries;
  return only === undefined || Object.values(only).every((value) => value === undefined || value === null || value === '');
}
