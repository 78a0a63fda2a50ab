import { forbidden, notFound, StatusError } from '@coffer/api/errors/status-error';
import { isRecord } from '@coffer/api/meta/safe-object';
import type { ResourceStore } from '@coffer/storage/store/store';
import { admissionForbidden } from '../forbid.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../plugin.ts';

const namespaceResource = { group: '', resource: 'namespaces' };
const immortal: ReadonlySet<string> = new Set(['default', 'kube-system', 'kube-public']);
const accessReviews: ReadonlySet<string> = new Set(['localsubjectaccessreviews']);

/**
 * Nothing is written into a namespace that does not exist, nothing new into one that is being deleted, and the namespaces the cluster
 * itself lives in are not deleted. A new namespace is visible here before its creation is acknowledged.
 */
export function namespaceLifecycle(namespaces: ResourceStore): AdmissionPlugin {
  return {
    name: 'NamespaceLifecycle',
    admit(attributes) {
      const { operation, resource, namespace } = attributes;
      const isNamespace = resource.group === '' && resource.resource === 'namespaces';
      if (isNamespace) {
        if (operation === 'DELETE' && immortal.has(attributes.name)) {
          throw forbidden(namespaceResource, attributes.name, 'this namespace may not be deleted');
        }
        return;
      }
      if (namespace === '' || operation === 'DELETE' || accessReviews.has(resource.resource)) return;
      const found = namespaces.get('', namespace);
      if (found === undefined) throw notFound(namespaceResource, namespace);
      const { status } = found.peek();
      if (operation === 'CREATE' && isRecord(status) && status.phase === 'Terminating') throw terminating(attributes);
    },
  };
}

function terminating(attributes: AdmissionAttributes): StatusError {
  const { namespace } = attributes;
  const error = admissionForbidden(attributes, `unable to create new content in namespace ${namespace} because it is being terminated`);
  return new StatusError(403, 'Forbidden', error.message, {
    ...error.status.details,
    causes: [{ reason: 'NamespaceTerminating', message: `namespace ${namespace} is being terminated`, field: 'metadata.namespace' }],
  });
}
