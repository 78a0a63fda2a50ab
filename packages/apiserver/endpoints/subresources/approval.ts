import { decisionErrors } from '@coffer/api/kinds/certificates/csr';
import type { KindDefinition } from '@coffer/api/kinds/kind';
import { statusErrors } from '@coffer/api/kinds/validate-object';
import { prepareCsrApproval, prepareCsrStatus } from '../../registry/certificates/csr-strategy.ts';
import type { UpdateRules } from '../../registry/generic/strategy.ts';

/** `certificatesigningrequests/…/approval`: who may approve writes the Approved and Denied conditions. */
export function approvalRules(kind: KindDefinition): UpdateRules {
  return {
    ...csrStatusRules(kind),
    prepareForUpdate: prepareCsrApproval,
    validateUpdate: (object, old) => statusErrors(kind, object, old),
  };
}

/** `certificatesigningrequests/…/status`: the signer writes the certificate. */
export function csrStatusRules(kind: KindDefinition): UpdateRules {
  return {
    prepareForUpdate: prepareCsrStatus,
    validateUpdate: (object, old) => [...statusErrors(kind, object, old), ...decisionErrors(object, old)],
    allowUnconditionalUpdate: true,
    allowCreateOnUpdate: false,
  };
}
