/**
 * Goes back to an earlier revision when the annotation asks for it: the deployment takes the template and annotations of that revision's
 * replica set, or says by an event why not. The annotation is gone afterwards either way.
 */
import type { V1Deployment, V1ReplicaSet } from '@coffer/api/generated/types';
import { equalJson, getOwn } from '@coffer/api/meta/safe-object';
import { nameOf, namespaceOf } from '@coffer/client/rest/api-object';
import { DEPLOYMENTS } from '@coffer/client/rest/well-known';
import type { LoopDeps } from '../common/loop-deps.ts';
import { annotationsOfSet, parseRevision, ROLLBACK_TO, revisionOf } from './annotations.ts';
import { withoutHash } from './replica-sets.ts';

/** The revision that is asked for; undefined when none is. */
export function rollbackRevision(deployment: V1Deployment): bigint | undefined {
  return parseRevision(getOwn(deployment.metadata?.annotations, ROLLBACK_TO));
}

export async function rollBack(
  deps: LoopDeps,
  deployment: V1Deployment,
  sets: readonly V1ReplicaSet[],
  signal: AbortSignal,
): Promise<void> {
  const asked = rollbackRevision(deployment) ?? 0n;
  const revision = asked === 0n ? lastButOne(sets) : asked;
  const set = revision === 0n ? undefined : sets.find((candidate) => revisionOf(candidate) === revision);
  const warn = (reason: string, message: string) => deps.events.record(deployment, 'Warning', reason, message);
  const write = async (next: V1Deployment) => {
    const { [ROLLBACK_TO]: _asked, ...annotations } = next.metadata?.annotations ?? {};
    await deps.api
      .resource(DEPLOYMENTS)
      .update({ ...next, metadata: { ...next.metadata, annotations } }, { namespace: namespaceOf(deployment), signal });
  };
  if (set === undefined) {
    const message = revision === 0n ? 'Unable to find last revision.' : 'Unable to find the revision to rollback to.';
    warn('DeploymentRollbackRevisionNotFound', message);
    await write(deployment);
    return;
  }
  const template = withoutHash(set.spec?.template);
  if (equalJson(template, withoutHash(deployment.spec?.template))) {
    const message = `The rollback revision contains the same template as current deployment "${nameOf(deployment)}"`;
    warn('DeploymentRollbackTemplateUnchanged', message);
    await write(deployment);
    return;
  }
  const spec = { ...deployment.spec, selector: deployment.spec?.selector ?? {}, template };
  await write({ ...deployment, metadata: { ...deployment.metadata, annotations: annotationsOfSet(deployment, set) }, spec });
  deps.events.record(deployment, 'Normal', 'DeploymentRollback', `Rolled back deployment "${nameOf(deployment)}" to revision ${revision}`);
}

/** The second highest revision; 0 when there is none. */
function lastButOne(sets: readonly V1ReplicaSet[]): bigint {
  const [, second = 0n] = sets.map(revisionOf).toSorted((a, b) => (a === b ? 0 : a > b ? -1 : 1));
  return second;
}
