/** Names of certificate signers: `domain/path`, as in `kubernetes.io/kubelet-serving`. */

import type { FieldError } from '../../errors/field-error.ts';
import { invalid, required, tooLong } from '../../errors/field-error.ts';
import { byteLength, dnsSubdomainProblems } from '../../validation/names.ts';
import { invalidEach } from '../../validation/object-meta.ts';

export function validateSignerName(name: string, path: string): FieldError[] {
  if (name === '') return [required(path)];
  const [domain = '', signer = '', ...rest] = name.split('/');
  if (!name.includes('/') || rest.length > 0) {
    return [invalid(path, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")];
  }
  const errors = invalidEach(path, domain, dnsSubdomainProblems(domain));
  if (!domain.includes('.')) errors.push(invalid(path, domain, 'should be a domain with at least two segments separated by dots'));
  errors.push(...invalidEach(path, signer, dnsSubdomainProblems(signer)));
  if (byteLength(name) > 571) errors.push(tooLong(path, 571));
  return errors;
}
