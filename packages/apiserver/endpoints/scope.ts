import type { ResourceInfo, SubresourceInfo } from '@coffer/api/catalog/resource';
import type { ConvertObject } from '@coffer/api/managedfields/ownership';
import type { BuiltInSchemaTable, GoStructSchema } from '@coffer/api/schema/schema-table';
import type { Clock } from '@coffer/base/time/clock';
import type { TurnGate } from '@coffer/base/time/turn-gate';
import type { AdmissionChain } from '../admission/chain.ts';
import type { AdmissionAttributes } from '../admission/plugin.ts';
import type { Authorizer } from '../authorization/authorizer.ts';
import type { Registry } from '../registry/generic/registry.ts';
import type { WriteContext } from '../registry/generic/strategy.ts';
import { rfc3339 } from '../registry/generic/system-metadata.ts';
import type { RequestContext } from '../request/context.ts';
import { headerText } from './negotiation.ts';

/** What all endpoints share. */
export interface EndpointTools {
  readonly table: BuiltInSchemaTable;
  readonly admission: AdmissionChain;
  readonly authorizer: Authorizer;
  readonly clock: Clock;
  /** Lists that are written in pieces ask it before each: many clients at once do not make one long turn. */
  readonly turns: TurnGate;
  /** Told how many events of a resource went to one watch. */
  readonly onWatchEvents: (group: string, version: string, resource: string, count: number) => void;
  readonly random: () => number;
}

/** One served resource: its row of the catalogue, its registry and the type of its bodies. */
export interface Scope {
  readonly resource: ResourceInfo;
  /** apiVersion of the row. */
  readonly apiVersion: string;
  readonly registry: Registry;
  readonly schema: GoStructSchema;
  readonly tools: EndpointTools;
  /** The object in another served version of the same stored kind, which managers of fields may have used. */
  readonly convert: ConvertObject;
}

/** The object or options a request on a resource or subresource carries. */
export interface BodyKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** Older group versions that clients may still send it in. */
  readonly acceptedApiVersions?: readonly string[];
}

export function bodyKindOf(resource: ResourceInfo, subresource?: SubresourceInfo): BodyKind {
  return {
    group: subresource?.group ?? resource.group,
    version: subresource?.version ?? resource.version,
    kind: subresource?.kind ?? resource.kind,
  };
}

export function writeContextOf(context: RequestContext, scope: Scope, dryRun: boolean): WriteContext {
  return { user: context.user, dryRun, now: rfc3339(scope.tools.clock.now()), wantsAdvice: showsWarnings(context) };
}

/** kubectl, and whoever chooses how fields are validated, shows warnings to people; others get exactly what upstream sends. */
function showsWarnings(context: RequestContext): boolean {
  return context.query.has('fieldValidation') || headerText(context.http, 'user-agent').startsWith('kubectl');
}

/** The namespace objects of the scope are stored in: none for cluster-scoped kinds, whatever the path says (`namespaces`). */
export function storageNamespace(context: RequestContext, scope: Scope): string {
  return scope.resource.namespaced ? context.info.namespace : '';
}

/** Attributes for admission; `object` and `oldObject` as the operation has them. */
export function admissionAttributes(
  context: RequestContext,
  scope: Scope,
  operation: AdmissionAttributes['operation'],
  subject: Pick<AdmissionAttributes, 'name' | 'object' | 'oldObject' | 'dryRun'>,
): AdmissionAttributes {
  return {
    operation,
    resource: scope.resource,
    subresource: context.info.subresource,
    namespace: context.info.namespace,
    name: subject.name,
    object: subject.object,
    oldObject: subject.oldObject,
    user: context.user,
    dryRun: subject.dryRun,
    warnings: context.warnings,
    auditAnnotations: context.auditAnnotations,
  };
}
