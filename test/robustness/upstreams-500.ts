import type { Answer } from '../support/coffer-process.ts';

const texts =
  /map: .* does not contain declared merge key: |expected a (map\[string\]|\[\])interface \{\}, but received a |unknown patch type: |failed to create typed patch object |strconv\.ParseUint: parsing .*: (invalid syntax|value out of range)/s;

/**
 * Whether kube-apiserver itself answers such a request with 500, in these words; clients know them. What DeleteOptions lack has no
 * reason there.
 */
export const isUpstreams500 = (method: string, { status, text }: Answer): boolean =>
  status === 500 && (texts.test(text) || (method === 'DELETE' && !text.includes('InternalError')));
