import { forbidden, type StatusCause, StatusError } from '@coffer/api/errors/status-error';
import type { AdmissionAttributes } from './plugin.ts';

/** The 403 of an admission plugin. An object whose name is still to be generated is called by what is known of it. */
export function admissionForbidden(attributes: AdmissionAttributes, detail: string, causes: readonly StatusCause[] = []): StatusError {
  const { group, resource } = attributes.resource;
  const { name: own, generateName } = attributes.object?.metadata ?? {};
  const error = forbidden({ group, resource }, attributes.name || own || generateName || 'Unknown!', detail);
  return causes.length === 0 ? error : new StatusError(error.code, error.reason, error.message, { ...error.status.details, causes });
}
