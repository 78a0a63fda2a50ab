/** What a container is asked or told to do: probes and lifecycle hooks. */

import type { FieldError } from '../../../errors/field-error.ts';
import { forbiddenField, invalid, notSupported, required } from '../../../errors/field-error.ts';
import type { V1HTTPGetAction, V1Lifecycle, V1LifecycleHandler, V1PodOS, V1Probe } from '../../../generated/types.ts';
import { httpHeaderNameProblems, portNameProblems, portNumberProblems } from '../../../validation/names.ts';
import { invalidEach, nonNegative } from '../../../validation/object-meta.ts';

type Handler = V1Probe & V1LifecycleHandler;

export function validateLivenessProbe(probe: V1Probe | undefined, path: string): FieldError[] {
  return probe == null ? [] : [...validateProbe(probe, path), ...oneSuccess(probe, path)];
}

export function validateStartupProbe(probe: V1Probe | undefined, path: string): FieldError[] {
  return validateLivenessProbe(probe, path);
}

export function validateReadinessProbe(probe: V1Probe | undefined, path: string): FieldError[] {
  if (probe == null) return [];
  const errors = validateProbe(probe, path);
  if (probe.terminationGracePeriodSeconds != null) {
    const at = `${path}.terminationGracePeriodSeconds`;
    errors.push(invalid(at, probe.terminationGracePeriodSeconds, 'must not be set for readinessProbes'));
  }
  return errors;
}

/** `gracePeriod` is the pod's; a `sleep` hook must fit into it. */
export function validateLifecycle(
  lifecycle: V1Lifecycle | undefined,
  gracePeriod: number | undefined,
  path: string,
  os?: V1PodOS,
): FieldError[] {
  if (lifecycle == null) return [];
  const errors: FieldError[] = [];
  if (lifecycle.postStart != null) errors.push(...validateHandler(lifecycle.postStart, gracePeriod, `${path}.postStart`));
  if (lifecycle.preStop != null) errors.push(...validateHandler(lifecycle.preStop, gracePeriod, `${path}.preStop`));
  if (lifecycle.stopSignal != null && (os?.name ?? '') === '') {
    errors.push(forbiddenField(`${path}.stopSignal`, 'may not be set for containers with empty `spec.os.name`'));
  }
  return errors;
}

/** A port by number or by the name of a container port. */
export function validatePort(port: unknown, path: string): FieldError[] {
  if (typeof port === 'string') return invalidEach(path, port, portNameProblems(port));
  const number = typeof port === 'number' ? port : 0;
  return invalidEach(path, number, portNumberProblems(number));
}

function validateProbe(probe: V1Probe, path: string): FieldError[] {
  const errors = validateHandler(probe, undefined, path);
  for (const field of ['initialDelaySeconds', 'timeoutSeconds', 'periodSeconds', 'successThreshold', 'failureThreshold'] as const) {
    errors.push(...nonNegative(probe[field] ?? 0, `${path}.${field}`));
  }
  const grace = probe.terminationGracePeriodSeconds;
  if (grace != null && grace <= 0) errors.push(invalid(`${path}.terminationGracePeriodSeconds`, grace, 'must be greater than 0'));
  return errors;
}

function oneSuccess(probe: V1Probe, path: string): FieldError[] {
  const threshold = probe.successThreshold ?? 0;
  return threshold === 1 ? [] : [invalid(`${path}.successThreshold`, threshold, 'must be 1')];
}

function validateHandler(handler: Handler, gracePeriod: number | undefined, path: string): FieldError[] {
  const errors: FieldError[] = [];
  let found = false;
  const add = (field: string, check: () => FieldError[]): void => {
    if (found) errors.push(forbiddenField(`${path}.${field}`, 'may not specify more than 1 handler type'));
    else errors.push(...check());
    found = true;
  };
  const { exec, httpGet, tcpSocket, grpc, sleep } = handler;
  if (exec != null) add('exec', () => ((exec.command ?? []).length === 0 ? [required(`${path}.exec.command`)] : []));
  if (httpGet != null) add('httpGet', () => validateHttpGet(httpGet, `${path}.httpGet`));
  if (tcpSocket != null) add('tcpSocket', () => validatePort(tcpSocket.port, `${path}.tcpSocket.port`));
  if (grpc != null) add('grpc', () => validatePort(grpc.port, `${path}.grpc.port`));
  if (sleep != null) add('sleep', () => validateSleep(sleep.seconds ?? 0, gracePeriod, `${path}.sleep`));
  if (!found) errors.push(required(path, 'must specify a handler type'));
  return errors;
}

function validateHttpGet(action: V1HTTPGetAction, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if ((action.path ?? '') === '') errors.push(required(`${path}.path`));
  errors.push(...validatePort(action.port, `${path}.port`));
  const scheme = action.scheme ?? '';
  if (scheme !== 'HTTP' && scheme !== 'HTTPS') errors.push(notSupported(`${path}.scheme`, scheme, ['HTTP', 'HTTPS']));
  for (const header of action.httpHeaders ?? []) {
    errors.push(...invalidEach(`${path}.httpHeaders`, header.name ?? '', httpHeaderNameProblems(header.name ?? '')));
  }
  return errors;
}

function validateSleep(seconds: number, gracePeriod: number | undefined, path: string): FieldError[] {
  if (gracePeriod === undefined || (seconds >= 0 && seconds <= gracePeriod)) return [];
  return [invalid(path, seconds, `must be non-negative and less than terminationGracePeriodSeconds (${gracePeriod})`)];
}
