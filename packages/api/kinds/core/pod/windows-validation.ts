/** Windows options of security contexts: credential specs, user names, and pods that run on the host itself. */

import type { FieldError } from '../../../errors/field-error.ts';
import { invalid } from '../../../errors/field-error.ts';
import type { V1PodSpec, V1WindowsSecurityContextOptions } from '../../../generated/types.ts';
import { byteLength, dnsSubdomainProblems } from '../../../validation/names.ts';
import { invalidEach } from '../../../validation/object-meta.ts';
import { allContainers } from './all-containers.ts';

const maxCredentialSpecKib = 64;
const maxDomainLength = 256;
const maxUserLength = 104;

const controlCharacter = /\p{Cc}/u;
/** 1 to 15 characters, without a leading dot. */
const netBiosDomain = /^[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}$/u;
const dnsLabel = '[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?';
const dnsDomain = new RegExp(`^${dnsLabel}(?:\\.${dnsLabel})*$`);

export function validateWindowsOptions(options: V1WindowsSecurityContextOptions | undefined, path: string): FieldError[] {
  if (options == null) return [];
  const { gmsaCredentialSpecName, gmsaCredentialSpec, runAsUserName } = options;
  const errors: FieldError[] = [];
  if (gmsaCredentialSpecName != null) {
    errors.push(...invalidEach(`${path}.gmsaCredentialSpecName`, gmsaCredentialSpecName, dnsSubdomainProblems(gmsaCredentialSpecName)));
  }
  if (gmsaCredentialSpec === '') {
    errors.push(invalid(`${path}.gmsaCredentialSpec`, '', 'gmsaCredentialSpec cannot be an empty string'));
  } else if (gmsaCredentialSpec != null && byteLength(gmsaCredentialSpec) > maxCredentialSpecKib * 1024) {
    const detail = `gmsaCredentialSpec size must be under ${maxCredentialSpecKib} KiB`;
    errors.push(invalid(`${path}.gmsaCredentialSpec`, gmsaCredentialSpec, detail));
  }
  if (runAsUserName != null) {
    const problems = userNameProblems(runAsUserName).map((problem) => `runAsUserName${problem}`);
    errors.push(...invalidEach(`${path}.runAsUserName`, runAsUserName, problems));
  }
  return errors;
}

/** `USER` or `DOMAIN\USER`. */
function userNameProblems(name: string): string[] {
  if (name === '') return [' cannot be an empty string'];
  if (controlCharacter.test(name)) return [' cannot contain control characters'];
  const parts = name.split('\\');
  if (parts.length > 2) return [' cannot contain more than one backslash'];
  const user = parts.at(-1) ?? '';
  const problems = parts.length === 2 ? domainProblems(parts[0] ?? '') : [];
  if (user === '') problems.push("'s User cannot be empty");
  else if (byteLength(user) > maxUserLength) problems.push(`'s User length must not be longer than ${maxUserLength} characters`);
  if (/^[. ]+$/.test(user)) problems.push("'s User cannot contain only periods or spaces");
  if (/["/\\:;|=,+*?<>@[\]]/.test(user)) problems.push(`'s User cannot contain the following characters: "/\\:;|=,+*?<>@[]`);
  return problems;
}

function domainProblems(domain: string): string[] {
  const problems: string[] = [];
  if (byteLength(domain) >= maxDomainLength) problems.push(`'s Domain length must be under ${maxDomainLength} characters`);
  if (!netBiosDomain.test(domain) && !dnsDomain.test(domain)) {
    problems.push("'s Domain doesn't match the NetBios nor the DNS format");
  }
  return problems;
}

/** Processes of the host: all containers of the pod or none, and on the host's network. */
export function validateHostProcesses(spec: V1PodSpec, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const ofPod = spec.securityContext?.windowsOptions?.hostProcess;
  const containers = allContainers(spec, path);
  let count = 0;
  for (const [container, at] of containers) {
    const own = container.securityContext?.windowsOptions?.hostProcess;
    if (ofPod != null && own != null && ofPod !== own) {
      const detail = `pod hostProcess value must be identical if both are specified, was ${ofPod}`;
      errors.push(invalid(`${at}.securityContext.windowsOptions.hostProcess`, own, detail));
    }
    if (own ?? ofPod ?? false) count++;
  }
  if (count === 0) return errors;
  if (count !== containers.length) {
    errors.push(invalid(path, '', 'If pod contains any hostProcess containers then all containers must be HostProcess containers'));
  }
  if (spec.hostNetwork !== true) {
    errors.push(invalid(`${path}.hostNetwork`, false, 'hostNetwork must be true if pod contains any hostProcess containers'));
  }
  return errors;
}
