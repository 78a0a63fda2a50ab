/** Fills in what most kinds share, so that a kind's file says only what is its own. */

import { builtInResources } from '../catalog/built-in-resources.ts';
import type { ResourceInfo } from '../catalog/resource.ts';
import type { KubeObject } from '../meta/object.ts';
import type { KindDefinition } from './kind.ts';

type Shared = 'applyDefaults' | 'validate' | 'validateUpdate' | 'warnings' | 'selectableFields' | 'hasStatus' | 'hasGeneration';

/** A kind's own rules; what is left out does nothing. */
export type KindRules = Omit<KindDefinition, 'resource' | Shared> & Partial<Pick<KindDefinition, Shared>>;

/** One for all objects: there may be very many. */
const noFields = Object.freeze({});

/** The definition of a catalogued resource. Throws when the catalogue has no such row (a programming error). */
export function defineKind(group: string, resource: string, rules: KindRules): KindDefinition {
  return {
    resource: catalogued(group, resource),
    applyDefaults: () => {},
    validate: () => [],
    validateUpdate: () => [],
    warnings: () => [],
    selectableFields: () => noFields,
    hasStatus: false,
    hasGeneration: false,
    ...rules,
  };
}

/** The same JSON, seen as a generated type. Decoding has checked its shape; only absent fields remain to be handled. */
export function viewAs<T>(object: KubeObject): T {
  return object as unknown as T;
}

function catalogued(group: string, resource: string): ResourceInfo {
  const row = builtInResources.find((candidate) => candidate.group === group && candidate.resource === resource);
  if (row === undefined) throw new Error(`no built-in resource ${resource} in group "${group}"`);
  return row;
}
