import { forbidden, type StatusError } from '@coffer/api/errors/status-error';
import type { AdmissionAttributes } from './plugin.ts';

/** The 403 of an admission plugin. An object whose name is still to be generated is called by what is known of it. */
export function admissionForbidden(attributes: AdmissionAttributes, detail: string): StatusError {
  const { group, resource } = attributes.resource;
  const { name: own, generateName } = attributes.object?.metadata ?? {};
  return forbidden({ group, resource }, attributes.name || own || generateName || 'Unknown!', detail);
}
