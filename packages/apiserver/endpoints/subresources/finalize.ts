import { validateFinalize } from '@coffer/api/kinds/core/namespace';
import type { KindDefinition } from '@coffer/api/kinds/kind';
import { validateObjectMetaUpdate } from '@coffer/api/validation/object-meta';
import { keepStatus } from '../../registry/generic/generation.ts';
import type { UpdateRules } from '../../registry/generic/strategy.ts';

/** `namespaces/…/finalize`: the one way to change `spec.finalizers`. The last one gone, a deleted namespace goes too. */
export function finalizeRules(kind: KindDefinition): UpdateRules {
  return {
    prepareForUpdate: keepStatus,
    validateUpdate: (object, old) => [...validateObjectMetaUpdate(object.metadata, old.metadata), ...validateFinalize(object)],
    warnings: (object, old) => kind.warnings(object, old),
    allowUnconditionalUpdate: true,
    allowCreateOnUpdate: false,
  };
}
