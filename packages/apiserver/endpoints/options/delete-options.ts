import { type FieldError, invalid, notSupported } from '@coffer/api/errors/field-error';
import { invalidObject } from '@coffer/api/errors/status-error';
import { isRecord } from '@coffer/api/meta/safe-object';
import { boolParameter, intParameter } from './query.ts';
import { dryRunErrors } from './write-options.ts';

/** meta/v1 DeleteOptions after validation, from the body or the query of a DELETE. */
export interface DeleteOptions {
  readonly gracePeriodSeconds?: number;
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
  readonly orphanDependents?: boolean;
  readonly propagationPolicy?: PropagationPolicy;
  readonly dryRun: boolean;
  /** Deletes an object that cannot be read, and only such a one. */
  readonly ignoreStoreReadError?: boolean;
}

export type PropagationPolicy = 'Orphan' | 'Background' | 'Foreground';

/** What both forms have before validation. */
interface RawDeleteOptions {
  readonly gracePeriodSeconds: unknown;
  readonly preconditions: unknown;
  readonly orphanDependents: unknown;
  readonly propagationPolicy: unknown;
  readonly dryRun: unknown;
  readonly ignoreStoreReadError: unknown;
}

const ignoreReadErrors = 'ignoreStoreReadErrorWithClusterBreakingPotential';

export function deleteOptionsFromQuery(query: URLSearchParams): DeleteOptions {
  if (query.size === 0) return { dryRun: false };
  return checked({
    gracePeriodSeconds: intParameter(query, 'gracePeriodSeconds'),
    preconditions: undefined,
    orphanDependents: boolParameter(query, 'orphanDependents'),
    propagationPolicy: query.get('propagationPolicy') ?? undefined,
    dryRun: query.getAll('dryRun'),
    ignoreStoreReadError: boolParameter(query, ignoreReadErrors),
  });
}

/** `body` is a decoded DeleteOptions object: its types have been checked. */
export function deleteOptionsFromBody(body: Readonly<Record<string, unknown>>): DeleteOptions {
  return checked({
    gracePeriodSeconds: body.gracePeriodSeconds,
    preconditions: body.preconditions,
    orphanDependents: body.orphanDependents,
    propagationPolicy: body.propagationPolicy,
    dryRun: body.dryRun,
    ignoreStoreReadError: body[ignoreReadErrors],
  });
}

function checked(raw: RawDeleteOptions): DeleteOptions {
  const { orphanDependents, propagationPolicy: policy } = raw;
  const dryRun = Array.isArray(raw.dryRun) ? raw.dryRun.map(String) : [];
  const errors: FieldError[] = [];
  if (typeof orphanDependents === 'boolean' && typeof policy === 'string') {
    errors.push(invalid('propagationPolicy', policy, 'orphanDependents and deletionPropagation cannot be both set'));
  }
  if (typeof policy === 'string' && !isPolicy(policy)) {
    errors.push(notSupported('propagationPolicy', policy, ['Foreground', 'Background', 'Orphan', 'nil']));
  }
  errors.push(...dryRunErrors(dryRun), ...unsafeDeleteErrors(raw, dryRun));
  if (errors.length > 0) throw invalidObject({ group: 'meta.k8s.io', kind: 'DeleteOptions' }, '', errors);
  const { uid, resourceVersion } = isRecord(raw.preconditions) ? raw.preconditions : {};
  return {
    dryRun: dryRun.length > 0,
    ...(raw.ignoreStoreReadError === true ? { ignoreStoreReadError: true } : {}),
    ...(typeof raw.gracePeriodSeconds === 'number' ? { gracePeriodSeconds: raw.gracePeriodSeconds } : {}),
    ...(typeof orphanDependents === 'boolean' ? { orphanDependents } : {}),
    ...(typeof policy === 'string' && isPolicy(policy) ? { propagationPolicy: policy } : {}),
    preconditions: {
      ...(typeof uid === 'string' ? { uid } : {}),
      ...(typeof resourceVersion === 'string' ? { resourceVersion } : {}),
    },
  };
}

/** Nothing of an unreadable object is known: no other option could be honoured. */
function unsafeDeleteErrors(raw: RawDeleteOptions, dryRun: readonly string[]): FieldError[] {
  if (raw.ignoreStoreReadError !== true) return [];
  const others: readonly (readonly [name: string, isSet: boolean])[] = [
    ['dryRun', dryRun.length > 0],
    ['propagationPolicy', raw.propagationPolicy !== undefined],
    ['orphanDependents', raw.orphanDependents !== undefined],
    ['gracePeriodSeconds', raw.gracePeriodSeconds !== undefined],
    ['preconditions', raw.preconditions !== undefined],
  ];
  return others.filter(([, isSet]) => isSet).map(([name]) => invalid(ignoreReadErrors, true, `cannot be set together with .${name}`));
}

function isPolicy(text: string): text is PropagationPolicy {
  return text === 'Orphan' || text === 'Background' || text === 'Foreground';
}
