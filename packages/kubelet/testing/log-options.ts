import type { LogOptions } from '@coffer/api/node/node-api';

/** For tests: everything that a container named `c` wrote. */
export const everything: LogOptions = {
  container: 'c',
  follow: false,
  previous: false,
  timestamps: false,
  tailLines: undefined,
  limitBytes: undefined,
  sinceSeconds: undefined,
  sinceTime: undefined,
};
