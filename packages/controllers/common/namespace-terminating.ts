import { isReason } from '@coffer/api/errors/status-error';

/** The server refused to create something because its namespace is going away: nobody needs to be told. */
export function isNamespaceTerminating(error: unknown): boolean {
  return isReason(error, 'Forbidden') && (error.status.details?.causes?.some((cause) => cause.reason === 'NamespaceTerminating') ?? false);
}
