import { countGeneration, keepStatus, specAndStatusStrategy } from '../generic/generation.ts';
import type { Strategy } from '../generic/strategy.ts';

/** Deployments count changes of annotations as well: the controller copies them to its ReplicaSets. */
export const deploymentStrategy: Strategy = {
  ...specAndStatusStrategy,
  prepareForUpdate(object, old) {
    keepStatus(object, old);
    countGeneration(object, old, true);
  },
};
