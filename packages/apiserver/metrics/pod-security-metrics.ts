import { Counter, type Registry } from 'prom-client';
import type { AdmissionAttributes } from '../admission/plugin.ts';
import type { LevelVersion } from '../admission/pod-security/policy.ts';

type Request = Pick<AdmissionAttributes, 'operation' | 'resource' | 'subresource'>;

export interface PodSecurityMetrics {
  countEvaluation(request: Request, decision: 'allow' | 'deny', mode: 'enforce' | 'audit' | 'warn', policy: LevelVersion): void;
  /** Labels of a namespace could not be read; something stricter was evaluated instead. */
  countError(request: Request): void;
}

const requestLabels = ['request_operation', 'resource', 'subresource'] as const;

/** Counters of Pod Security admission, with kube-apiserver's names. `serverMinor`: policies for a later version count as `future`. */
export function createPodSecurityMetrics(registry: Registry, serverMinor: number): PodSecurityMetrics {
  const registers = [registry];
  const evaluations = new Counter({
    name: 'pod_security_evaluations_total',
    help: '[ALPHA] Number of policy evaluations that occurred, not counting ignored or exempt requests.',
    labelNames: ['decision', 'policy_level', 'policy_version', 'mode', ...requestLabels],
    registers,
  });
  const errors = new Counter({
    name: 'pod_security_errors_total',
    help: '[ALPHA] Number of errors preventing normal evaluation. Non-fatal errors may result in the latest restricted profile being used for evaluation.',
    labelNames: ['fatal', ...requestLabels],
    registers,
  });
  return {
    countEvaluation(request, decision, mode, { level, version }) {
      evaluations.inc({
        decision,
        policy_level: level,
        policy_version:
          level === 'privileged' || version.text === 'latest' ? 'latest' : version.minor <= serverMinor ? version.text : 'future',
        mode,
        ...labelsOf(request),
      });
    },
    countError: (request) => errors.inc({ fatal: 'false', ...labelsOf(request) }),
  };
}

function labelsOf({ operation, resource, subresource }: Request) {
  const kind =
    resource.group !== ''
      ? 'controller'
      : resource.resource === 'pods'
        ? 'pod'
        : resource.resource === 'namespaces'
          ? 'namespace'
          : 'controller';
  return { request_operation: operation.toLowerCase(), resource: kind, subresource };
}
