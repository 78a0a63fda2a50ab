import { parseDuration } from '@coffer/base/time/duration';
import { load } from 'js-yaml';
import { listField, onlyFields, recordField, requiredText } from '../../config-file/config-fields.ts';
import type { FailurePolicy } from '../webhook-authorizer.ts';

/** `AuthorizationConfiguration` of `--authorization-config`, checked: who is asked, in this order. */
export interface AuthorizationConfiguration {
  readonly authorizers: readonly ConfiguredAuthorizer[];
}

export type ConfiguredAuthorizer =
  | { readonly type: 'Node'; readonly name: string }
  | { readonly type: 'RBAC'; readonly name: string }
  | ConfiguredWebhook;

export interface ConfiguredWebhook {
  readonly type: 'Webhook';
  readonly name: string;
  readonly kubeConfigFile: string;
  readonly version: 'v1' | 'v1beta1';
  readonly timeoutMs: number;
  /** 0 for answers that are not remembered. */
  readonly authorizedTtlMs: number;
  readonly unauthorizedTtlMs: number;
  readonly failurePolicy: FailurePolicy;
  /** CEL; the webhook is asked when all are true. */
  readonly matchConditions: readonly string[];
}

const versions = ['v1', 'v1beta1', 'v1alpha1'].map((version) => `apiserver.config.k8s.io/${version}`);
const maxTimeoutMs = 30_000;
const maxMatchConditions = 64;
const webhookFields = [
  'authorizedTTL',
  'cacheAuthorizedRequests',
  'unauthorizedTTL',
  'cacheUnauthorizedRequests',
  'timeout',
  'subjectAccessReviewVersion',
  'matchConditionSubjectAccessReviewVersion',
  'failurePolicy',
  'connectionInfo',
  'matchConditions',
];

/** Reads the file. Every problem, unknown fields included, is an error that names the field. */
export function parseAuthorizationConfiguration(text: string): AuthorizationConfiguration {
  const document = recordField(load(text), 'authorization configuration');
  if (!versions.includes(String(document.apiVersion)) || document.kind !== 'AuthorizationConfiguration') {
    throw new Error(`authorization configuration: expected apiVersion ${versions[0]}, kind AuthorizationConfiguration`);
  }
  onlyFields(document, ['apiVersion', 'kind', 'authorizers'], 'authorization configuration');
  const authorizers = listField(document.authorizers, 'authorizers').map((item, i) =>
    parseAuthorizer(recordField(item, `authorizers[${i}]`), i),
  );
  if (authorizers.length === 0) throw new Error('authorizers: at least one authorization mode must be defined');
  for (const [index, { type, name }] of authorizers.entries()) {
    const before = authorizers.slice(0, index);
    if (before.some((other) => other.name === name))
      throw new Error(`authorizers[${index}].name: Duplicate value: ${JSON.stringify(name)}`);
    if (type !== 'Webhook' && before.some((other) => other.type === type)) {
      throw new Error(`authorizers[${index}].type: Duplicate value: ${JSON.stringify(type)}`);
    }
  }
  return { authorizers };
}

function parseAuthorizer(authorizer: Record<string, unknown>, index: number): ConfiguredAuthorizer {
  const at = `authorizers[${index}]`;
  onlyFields(authorizer, ['type', 'name', 'webhook'], at);
  const { type } = authorizer;
  const name = requiredText(authorizer.name, `${at}.name`);
  if (name.length > 253 || !/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(name)) {
    throw new Error(`${at}.name: Invalid value: ${JSON.stringify(name)}: must be a lowercase RFC 1123 subdomain`);
  }
  if (type === 'Webhook') return parseWebhook(recordField(authorizer.webhook, `${at}.webhook`), name, `${at}.webhook`);
  if (type !== 'Node' && type !== 'RBAC') {
    throw new Error(`${at}.type: Unsupported value: ${JSON.stringify(type)}: supported values: "Node", "RBAC", "Webhook"`);
  }
  if (authorizer.webhook !== undefined) throw new Error(`${at}.webhook: may only be specified when type=Webhook`);
  return { type, name };
}

function parseWebhook(webhook: Record<string, unknown>, name: string, at: string): ConfiguredWebhook {
  onlyFields(webhook, webhookFields, at);
  const version = oneOf(webhook.subjectAccessReviewVersion, ['v1', 'v1beta1'] as const, `${at}.subjectAccessReviewVersion`);
  const failurePolicy = oneOf(webhook.failurePolicy, ['NoOpinion', 'Deny'] as const, `${at}.failurePolicy`);
  const timeoutMs = duration(webhook.timeout, `${at}.timeout`);
  if (timeoutMs === undefined) throw new Error(`${at}.timeout: required`);
  if (timeoutMs <= 0 || timeoutMs > maxTimeoutMs) throw new Error(`${at}.timeout: must be more than 0 and at most 30s`);
  const matchConditions = listField(webhook.matchConditions, `${at}.matchConditions`).map((item, i) => {
    const condition = recordField(item, `${at}.matchConditions[${i}]`);
    onlyFields(condition, ['expression'], `${at}.matchConditions[${i}]`);
    return requiredText(condition.expression, `${at}.matchConditions[${i}].expression`);
  });
  if (matchConditions.length > maxMatchConditions)
    throw new Error(`${at}.matchConditions: Too many: must have at most ${maxMatchConditions} items`);
  if (matchConditions.length > 0 || webhook.matchConditionSubjectAccessReviewVersion !== undefined) {
    oneOf(webhook.matchConditionSubjectAccessReviewVersion, ['v1'] as const, `${at}.matchConditionSubjectAccessReviewVersion`);
  }
  return {
    type: 'Webhook',
    name,
    version,
    failurePolicy,
    timeoutMs,
    matchConditions,
    kubeConfigFile: kubeConfigFile(recordField(webhook.connectionInfo, `${at}.connectionInfo`), `${at}.connectionInfo`),
    authorizedTtlMs: ttl(webhook.authorizedTTL, webhook.cacheAuthorizedRequests, 300_000, at, 'Authorized'),
    unauthorizedTtlMs: ttl(webhook.unauthorizedTTL, webhook.cacheUnauthorizedRequests, 30_000, at, 'Unauthorized'),
  };
}

function kubeConfigFile(connection: Record<string, unknown>, at: string): string {
  onlyFields(connection, ['type', 'kubeConfigFile'], at);
  if (connection.type !== 'KubeConfigFile') {
    throw new Error(`${at}.type: Unsupported value: ${JSON.stringify(connection.type)}: supported values: "KubeConfigFile"`);
  }
  const file = requiredText(connection.kubeConfigFile, `${at}.kubeConfigFile`);
  if (!file.startsWith('/')) throw new Error(`${at}.kubeConfigFile: must be an absolute path`);
  return file;
}

function ttl(value: unknown, cache: unknown, defaultMs: number, at: string, which: 'Authorized' | 'Unauthorized'): number {
  if (cache !== undefined && typeof cache !== 'boolean') throw new Error(`${at}.cache${which}Requests: expected true or false`);
  const field = `${at}.${which.toLowerCase()}TTL`;
  const ms = duration(value, field) ?? defaultMs;
  if (ms <= 0) throw new Error(`${field}: must be more than 0`);
  return cache === false ? 0 : ms;
}

function duration(value: unknown, at: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  const ms = typeof value === 'string' ? parseDuration(value) : undefined;
  if (ms === undefined) throw new Error(`${at}: expected a duration such as 30s or 5m`);
  return ms;
}

function oneOf<T extends string>(value: unknown, allowed: readonly T[], at: string): T {
  if (value === undefined || value === null || value === '') throw new Error(`${at}: required`);
  const found = allowed.find((item) => item === value);
  if (found !== undefined) return found;
  const supported = allowed.map((item) => JSON.stringify(item)).join(', ');
  throw new Error(`${at}: Unsupported value: ${JSON.stringify(value)}: supported values: ${supported}`);
}
