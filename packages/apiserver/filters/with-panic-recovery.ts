import { StatusError } from '@coffer/api/errors/status-error';
import type { Logger } from '@coffer/base/log/logger';
import { StorageError } from '@coffer/storage/errors';
import { errorResponse } from '../endpoints/errors.ts';
import type { Filter } from './filter.ts';

/** Turns whatever a request throws into a Status answer: known errors as they are, anything else a 500 with the detail in the log. */
export function withPanicRecovery(logger: Logger): Filter {
  return async (context, next) => {
    try {
      return await next(context);
    } catch (error) {
      if (!(error instanceof StatusError) && !(error instanceof StorageError) && !context.http.signal.aborted) {
        logger.error('request failed', {
          err: error,
          auditId: context.auditId,
          verb: context.info.verb,
          path: context.info.path,
        });
      }
      return errorResponse(error, context);
    }
  };
}
