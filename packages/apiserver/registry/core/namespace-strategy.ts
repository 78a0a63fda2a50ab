import type { KubeObject } from '@coffer/api/meta/object';
import { isRecord } from '@coffer/api/meta/safe-object';
import { keepStatus } from '../generic/generation.ts';
import type { Strategy } from '../generic/strategy.ts';

const kubernetesFinalizer = 'kubernetes';

/**
 * Namespaces start Active with the `kubernetes` finalizer in their spec. A deletion makes them Terminating; they go when the
 * namespace controller has removed the content and, through `…/finalize`, the finalizer.
 */
export const namespaceStrategy: Strategy = {
  prepareForCreate(object) {
    object.status = { phase: 'Active' };
    const finalizers = specFinalizers(object);
    object.spec = {
      ...(isRecord(object.spec) ? object.spec : {}),
      finalizers: finalizers.includes(kubernetesFinalizer) ? finalizers : [...finalizers, kubernetesFinalizer],
    };
  },
  prepareForUpdate(object, old) {
    keepStatus(object, old);
    object.spec = old.spec;
  },
  holdsDeletion: (object) => specFinalizers(object).length > 0,
  markDeleting(object) {
    delete object.metadata.deletionGracePeriodSeconds;
    object.status = { ...(isRecord(object.status) ? object.status : {}), phase: 'Terminating' };
  },
};

export function specFinalizers(namespace: KubeObject): readonly string[] {
  const { finalizers } = isRecord(namespace.spec) ? namespace.spec : {};
  return Array.isArray(finalizers) ? finalizers.map(String) : [];
}
