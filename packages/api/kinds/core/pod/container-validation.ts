/** The containers of a pod: regular, init and ephemeral ones. What they share is checked alike; each kind forbids some fields. */

import type { FieldError } from '../../../errors/field-error.ts';
import { duplicate, forbiddenField, invalid, notFoundField, notSupported, required, tooMany } from '../../../errors/field-error.ts';
import type {
  V1Container,
  V1ContainerPort,
  V1ContainerResizePolicy,
  V1EphemeralContainer,
  V1PodSpec,
  V1Volume,
} from '../../../generated/types.ts';
import { dnsLabelProblems, portNameProblems, portNumberProblems } from '../../../validation/names.ts';
import { invalidEach } from '../../../validation/object-meta.ts';
import { isSidecar } from '../../pod-state.ts';
import { validateEnv, validateEnvFrom } from './env-validation.ts';
import { validateLifecycle, validateLivenessProbe, validateReadinessProbe, validateStartupProbe } from './handler-validation.ts';
import { validateVolumeDevices, validateVolumeMounts } from './mount-validation.ts';
import { validatePullPolicy } from './pull-policy.ts';
import { validateContainerResources } from './resource-validation.ts';
import { validateSecurityContext } from './security-validation.ts';

const protocols = ['SCTP', 'TCP', 'UDP'];
const restartPolicies = ['Always', 'Never', 'OnFailure'];
const restartActions = ['Restart', 'RestartAllContainers'];

/** What the checks of a container need to know about its pod. */
export interface ContainerContext {
  readonly spec: V1PodSpec;
  readonly volumes: ReadonlyMap<string, V1Volume>;
  readonly claimNames: ReadonlySet<string>;
}

export function validateContainers(context: ContainerContext, path: string): FieldError[] {
  const containers = context.spec.containers ?? [];
  if (containers.length === 0) return [required(path)];
  const errors: FieldError[] = [];
  const names = new Set<string>();
  containers.forEach((container, i) => {
    const at = `${path}[${i}]`;
    const name = container.name ?? '';
    errors.push(...validateCommon(container, context, at));
    if (names.has(name)) errors.push(duplicate(`${at}.name`, name));
    names.add(name);
    errors.push(...validateHandlers(container, context.spec, at));
    errors.push(...validateRestartPolicy(container, at));
  });
  errors.push(...validateHostPortsUnique(containers, path));
  return errors;
}

export function validateInitContainers(context: ContainerContext, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const names = new Set((context.spec.containers ?? []).map((container) => container.name ?? ''));
  (context.spec.initContainers ?? []).forEach((container, i) => {
    const at = `${path}[${i}]`;
    const name = container.name ?? '';
    errors.push(...validateCommon(container, context, at));
    errors.push(...validateRestartPolicy(container, at));
    if (names.has(name)) errors.push(duplicate(`${at}.name`, name));
    else if (name !== '') names.add(name);
    // One by one: init containers do not run at the same time. The index is then always the first.
    errors.push(...validateHostPortsUnique([container], path));
    if (isSidecar(container)) {
      errors.push(...validateHandlers(container, context.spec, at));
      return;
    }
    for (const field of ['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
      if (container[field] == null) continue;
      errors.push(forbiddenField(`${at}.${field}`, 'may not be set for init containers without restartPolicy=Always'));
    }
    (container.resizePolicy ?? []).forEach(({ restartPolicy }, j) => {
      if (restartPolicy !== 'RestartContainer') return;
      const detail = "must not be set to 'RestartContainer' for non-sidecar initContainers";
      errors.push(invalid(`${at}.resizePolicy[${j}].restartPolicy`, restartPolicy, detail));
    });
  });
  return errors;
}

const ephemeralForbidden = [
  'ports',
  'resources',
  'resizePolicy',
  'restartPolicy',
  'restartPolicyRules',
  'livenessProbe',
  'readinessProbe',
  'startupProbe',
  'lifecycle',
] as const;

export function validateEphemeralContainers(context: ContainerContext, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const others = [...(context.spec.containers ?? []), ...(context.spec.initContainers ?? [])].map((c) => c.name ?? '');
  const names = new Set(others);
  (context.spec.ephemeralContainers ?? []).forEach((container, i) => {
    const at = `${path}[${i}]`;
    const name = container.name ?? '';
    errors.push(...validateCommon(container, context, at), ...validateImageIsTrimmed(container, at));
    if (names.has(name)) errors.push(duplicate(`${at}.name`, name));
    names.add(name);
    const target = container.targetContainerName ?? '';
    if (target !== '' && !others.includes(target)) errors.push(notFoundField(`${at}.targetContainerName`, target));
    for (const field of ephemeralForbidden) {
      if (isSet(container, field)) errors.push(forbiddenField(`${at}.${field}`, 'cannot be set for an Ephemeral Container'));
    }
    (container.volumeMounts ?? []).forEach((mount, j) => {
      for (const field of ['subPath', 'subPathExpr'] as const) {
        if ((mount[field] ?? '') === '') continue;
        errors.push(forbiddenField(`${at}.volumeMounts[${j}].${field}`, 'cannot be set for an Ephemeral Container'));
      }
    });
  });
  return errors;
}

function isSet(container: V1EphemeralContainer, field: (typeof ephemeralForbidden)[number]): boolean {
  const value = container[field];
  return value != null && value !== '' && Object.keys(value).length > 0;
}

/** For pods only: templates may hold placeholders. */
export function validateImageIsTrimmed(container: V1Container | V1EphemeralContainer, path: string): FieldError[] {
  const image = container.image ?? '';
  return image === image.trim() ? [] : [invalid(`${path}.image`, image, 'must not have leading or trailing whitespace')];
}

function validateCommon(container: V1Container, context: ContainerContext, path: string): FieldError[] {
  const name = container.name ?? '';
  const errors = name === '' ? [required(`${path}.name`)] : invalidEach(`${path}.name`, name, dnsLabelProblems(name));
  if ((container.image ?? '') === '') errors.push(required(`${path}.image`));
  errors.push(...validateTerminationMessagePolicy(container.terminationMessagePolicy, `${path}.terminationMessagePolicy`));
  errors.push(...validatePorts(container.ports ?? [], `${path}.ports`));
  errors.push(...validateEnv(container.env ?? [], `${path}.env`));
  errors.push(...validateEnvFrom(container.envFrom ?? [], `${path}.envFrom`));
  errors.push(...validateVolumeMounts(container, context.volumes, `${path}.volumeMounts`));
  errors.push(...validateVolumeDevices(container, context.volumes, `${path}.volumeDevices`));
  errors.push(...validatePullPolicy(container.imagePullPolicy, `${path}.imagePullPolicy`));
  errors.push(...validateContainerResources(container.resources ?? {}, context.claimNames, `${path}.resources`));
  errors.push(...validateResizePolicy(container, context.spec, `${path}.resizePolicy`));
  errors.push(...validateSecurityContext(container.securityContext, context.spec.hostUsers !== false, `${path}.securityContext`));
  return errors;
}

function validateTerminationMessagePolicy(policy: string | undefined, path: string): FieldError[] {
  const policies = ['File', 'FallbackToLogsOnError'];
  if (policy == null || policy === '') return [required(path)];
  return policies.includes(policy) ? [] : [notSupported(path, policy, policies)];
}

function validatePorts(ports: readonly V1ContainerPort[], path: string): FieldError[] {
  const errors: FieldError[] = [];
  const names = new Set<string>();
  ports.forEach((port, i) => {
    const at = `${path}[${i}]`;
    const { name = '', containerPort = 0, hostPort = 0, protocol = '' } = port as Partial<V1ContainerPort>;
    if (name !== '') {
      const problems = portNameProblems(name);
      errors.push(...invalidEach(`${at}.name`, name, problems));
      if (problems.length === 0 && names.has(name)) errors.push(duplicate(`${at}.name`, name));
      names.add(name);
    }
    if (containerPort === 0) errors.push(required(`${at}.containerPort`));
    else errors.push(...invalidEach(`${at}.containerPort`, containerPort, portNumberProblems(containerPort)));
    if (hostPort !== 0) errors.push(...invalidEach(`${at}.hostPort`, hostPort, portNumberProblems(hostPort)));
    if (protocol === '') errors.push(required(`${at}.protocol`));
    else if (!protocols.includes(protocol)) errors.push(notSupported(`${at}.protocol`, protocol, protocols));
  });
  return errors;
}

function validateHostPortsUnique(containers: readonly V1Container[], path: string): FieldError[] {
  const errors: FieldError[] = [];
  const taken = new Set<string>();
  containers.forEach((container, i) => {
    (container.ports ?? []).forEach((port, j) => {
      if ((port.hostPort ?? 0) === 0) return;
      const key = `${port.protocol ?? ''}/${port.hostIP ?? ''}/${port.hostPort}`;
      if (taken.has(key)) errors.push(duplicate(`${path}[${i}].ports[${j}].hostPort`, key));
      taken.add(key);
    });
  });
  return errors;
}

function validateHandlers(container: V1Container, spec: V1PodSpec, path: string): FieldError[] {
  return [
    ...validateLifecycle(container.lifecycle, spec.terminationGracePeriodSeconds, `${path}.lifecycle`, spec.os),
    ...validateLivenessProbe(container.livenessProbe, `${path}.livenessProbe`),
    ...validateReadinessProbe(container.readinessProbe, `${path}.readinessProbe`),
    ...validateStartupProbe(container.startupProbe, `${path}.startupProbe`),
  ];
}

function validateRestartPolicy(container: V1Container, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const policy = container.restartPolicy;
  const rules = container.restartPolicyRules ?? [];
  if (policy != null && !restartPolicies.includes(policy)) {
    errors.push(notSupported(`${path}.restartPolicy`, policy, restartPolicies));
  }
  if (rules.length === 0) return errors;
  if (policy == null) errors.push(required(`${path}.restartPolicy`, 'must specify restartPolicy when restart rules are used'));
  if (rules.length > 20) errors.push(tooMany(`${path}.restartPolicyRules`, rules.length, 20));
  rules.forEach((rule, i) => {
    const at = `${path}.restartPolicyRules[${i}]`;
    const action = rule.action ?? '';
    if (!restartActions.includes(action)) errors.push(notSupported(`${at}.action`, action, restartActions));
    if (rule.exitCodes == null) {
      errors.push(required(`${at}.exitCodes`, 'must be specified'));
      return;
    }
    const { operator, values = [] } = rule.exitCodes;
    if (operator !== 'In' && operator !== 'NotIn') {
      errors.push(notSupported(`${at}.exitCodes.operator`, operator ?? '', ['In', 'NotIn']));
    }
    if (values.length > 255) errors.push(tooMany(`${at}.exitCodes.values`, values.length, 255));
  });
  return errors;
}

function validateResizePolicy(container: V1Container, spec: V1PodSpec, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  const policies = ['NotRequired', 'RestartContainer'];
  (container.resizePolicy ?? []).forEach(({ resourceName = '', restartPolicy = '' }: Partial<V1ContainerResizePolicy>, i) => {
    if (seen.has(resourceName)) errors.push(duplicate(`${path}[${i}]`, resourceName));
    seen.add(resourceName);
    if (resourceName === '') errors.push(required(path));
    else if (!['cpu', 'memory'].includes(resourceName)) errors.push(notSupported(path, resourceName, ['cpu', 'memory']));
    if (restartPolicy === '') errors.push(required(path));
    else if (!policies.includes(restartPolicy)) errors.push(notSupported(path, restartPolicy, policies));
    if (spec.restartPolicy === 'Never' && restartPolicy !== 'NotRequired') {
      errors.push(invalid(path, restartPolicy, "must be 'NotRequired' when `restartPolicy` is 'Never'"));
    }
  });
  return errors;
}
