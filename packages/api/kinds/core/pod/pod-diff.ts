/** The difference of two pod specs as the server of record prints it in an error: both written out in full, compared line by line. */

import type { V1PodSpec } from '../../../generated/types.ts';
import { isRecord } from '../../../meta/safe-object.ts';
import { unifiedDiff } from '../../../validation/unified-diff.ts';
import { podLayout } from './pod-layout.ts';

interface LayoutField {
  readonly name: string;
  readonly json: string;
  readonly kind: string;
}

type Layout = ReadonlyMap<string, readonly LayoutField[]>;

const zeroValues: Readonly<Record<string, unknown>> = { s: '', i: 0, b: false, v: 0, q: '0' };

/** The changed parts with three lines around each; empty when nothing differs. */
export function diffPodSpecs(old: V1PodSpec, changed: V1PodSpec): string {
  const layout = readLayout();
  return unifiedDiff(lines(write(inMemoryForm(old), 'PodSpec', layout)), lines(write(inMemoryForm(changed), 'PodSpec', layout)));
}

/** As `diffPodSpecs`, of one ephemeral container. */
export function diffEphemeralContainers(old: object, changed: object): string {
  const layout = readLayout();
  return unifiedDiff(lines(write(old, 'EphemeralContainer', layout)), lines(write(changed, 'EphemeralContainer', layout)));
}

/** A struct as it is shown in errors: every field, in the order of the type. `null` for an absent one. */
export function inMemoryStruct(value: object | undefined, struct: string): unknown {
  return value === undefined ? null : write(value, struct, readLayout());
}

/** Namespaces of the host are kept in the security context. */
function inMemoryForm(spec: V1PodSpec): object {
  const { hostNetwork, hostPID, hostIPC, hostUsers, shareProcessNamespace, ...rest } = spec;
  if (spec.securityContext == null) return rest;
  return { ...rest, securityContext: { ...spec.securityContext, hostNetwork, hostPID, hostIPC, hostUsers, shareProcessNamespace } };
}

function lines(value: unknown): string[] {
  return JSON.stringify(value, undefined, 1).split('\n');
}

function write(value: unknown, struct: string, layout: Layout): Record<string, unknown> {
  const source: Record<string, unknown> = isRecord(value) ? value : {};
  const result: Record<string, unknown> = {};
  for (const field of layout.get(struct) ?? []) {
    const given = source[field.json] ?? undefined;
    const type = field.kind.slice(1);
    switch (field.kind[0]) {
      case '*':
        result[field.name] = given === undefined ? null : write(given, type, layout);
        break;
      case '[':
        result[field.name] = Array.isArray(given) ? given.map((item) => write(item, type, layout)) : null;
        break;
      case '+':
        Object.assign(result, write(struct === 'EphemeralContainer' ? value : given, type, layout));
        break;
      case 'o':
        if (given !== undefined) result[field.name] = given;
        break;
      case 'm':
        result[field.name] = isRecord(given) ? sorted(given) : null;
        break;
      default:
        if (layout.has(field.kind)) result[field.name] = write(given, field.kind, layout);
        else result[field.name] = given ?? zeroValues[field.kind] ?? null;
    }
  }
  return result;
}

/** Maps are printed by key. */
function sorted(map: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function readLayout(): Layout {
  const layout = new Map<string, readonly LayoutField[]>();
  for (const line of podLayout.trim().split('\n')) {
    const [struct = '', ...fields] = line.split(' ');
    layout.set(struct, fields.map(readField));
  }
  return layout;
}

function readField(text: string): LayoutField {
  const [, name = '', kind = '', json] = /^(\w+):([^=]+)(?:=(\w+))?$/.exec(text) ?? [];
  return { name, kind, json: json ?? name.charAt(0).toLowerCase() + name.slice(1) };
}
