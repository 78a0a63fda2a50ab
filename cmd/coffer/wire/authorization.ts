import { readFile } from 'node:fs/promises';
import type { Attributes, Authorizer } from '@coffer/apiserver/authorization/authorizer';
import type { AuthorizationConfiguration, ConfiguredAuthorizer } from '@coffer/apiserver/authorization/config/authorization-config';
import { nodeNameOf } from '@coffer/apiserver/authorization/node/node-authorizer';
import type { RbacAuthorizer } from '@coffer/apiserver/authorization/rbac/rbac-authorizer';
import { systemMastersAuthorizer } from '@coffer/apiserver/authorization/system-masters';
import { unionAuthorizer } from '@coffer/apiserver/authorization/union';
import { type RuleResolver, unresolvableRules } from '@coffer/apiserver/registry/reviews/access-reviews';
import { followFile } from '@coffer/base/files/followed-file';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { AccessFlags } from '../up/access-flags.ts';

export interface AuthorizationDeps {
  readonly node: Authorizer;
  readonly rbac: RbacAuthorizer;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Ends what follows the configuration file. */
  readonly signal: AbortSignal;
}

/** Who decides, in the order of the configuration; another one while its file changes. */
export class Authorization implements Authorizer {
  #union: Authorizer;
  #ruleResolvers: readonly RuleResolver[];

  constructor(authorizers: readonly Authorizer[], ruleResolvers: readonly RuleResolver[]) {
    this.#union = unionAuthorizer([systemMastersAuthorizer, ...authorizers]);
    this.#ruleResolvers = ruleResolvers;
  }

  /** What can say which rules a user has, in the order of the authorizers. */
  get ruleResolvers(): readonly RuleResolver[] {
    return this.#ruleResolvers;
  }

  authorize(attributes: Attributes): ReturnType<Authorizer['authorize']> {
    return this.#union.authorize(attributes);
  }

  /** Requests that come from now on are decided as `next` would. */
  become(next: Authorization): void {
    this.#union = next.#union;
    this.#ruleResolvers = next.#ruleResolvers;
  }
}

/** The authorizers of `--authorization-mode` or `--authorization-config` in their order, behind `system:masters`. */
export async function wireAuthorization(flags: AccessFlags, deps: AuthorizationDeps): Promise<Authorization> {
  const file = flags.authorizationConfig;
  if (file === undefined) return authorizationOf(configurationOfFlags(flags), deps);
  if (flags.authorizationMode !== undefined || flags.authorizationWebhookConfigFile !== undefined) {
    throw new Error('--authorization-config can not be specified with --authorization-mode or --authorization-webhook-*');
  }
  const { parseAuthorizationConfiguration } = await import('@coffer/apiserver/authorization/config/authorization-config');
  const load = (text: string) => authorizationOf(parseAuthorizationConfiguration(text), deps);
  const text = await readFile(file, 'utf8');
  const authorization = await load(text).catch((error: unknown) => {
    throw new Error(`--authorization-config ${file}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  });
  const { clock, logger, signal } = deps;
  void followFile({ file, clock, logger, use: async (changed) => authorization.become(await load(changed)) }, text, signal);
  return authorization;
}

async function authorizationOf(configuration: AuthorizationConfiguration, deps: AuthorizationDeps): Promise<Authorization> {
  const { authorizers } = configuration;
  return new Authorization(
    await Promise.all(authorizers.map((authorizer, index) => authorizerOf(authorizer, index, deps))),
    authorizers.map((authorizer) => resolverOf(authorizer.type, deps)),
  );
}

/** What the flags say, in the form of a file. */
function configurationOfFlags(flags: AccessFlags): AuthorizationConfiguration {
  const modes = flags.authorizationMode ?? ['Node', 'RBAC'];
  if (modes.length === 0) throw new Error('--authorization-mode: at least one mode is required');
  const twice = modes.find((mode, index) => modes.indexOf(mode) < index);
  if (twice !== undefined) throw new Error(`--authorization-mode: ${twice} stands twice`);
  if (flags.authorizationWebhookConfigFile && !modes.includes('Webhook')) {
    throw new Error('--authorization-webhook-config-file needs --authorization-mode with Webhook');
  }
  return { authorizers: modes.map((mode) => authorizerOfFlag(mode, flags)) };
}

function authorizerOfFlag(mode: string, flags: AccessFlags): ConfiguredAuthorizer {
  switch (mode) {
    case 'Node':
    case 'RBAC':
      return { type: mode, name: mode.toLowerCase() };
    case 'Webhook':
      if (!flags.authorizationWebhookConfigFile) throw new Error('--authorization-mode Webhook needs --authorization-webhook-config-file');
      return {
        type: mode,
        name: 'default',
        kubeConfigFile: flags.authorizationWebhookConfigFile,
        version: flags.authorizationWebhookVersion,
        timeoutMs: 30_000,
        authorizedTtlMs: flags.authorizationWebhookCacheAuthorizedTtl,
        unauthorizedTtlMs: flags.authorizationWebhookCacheUnauthorizedTtl,
        failurePolicy: 'NoOpinion',
        matchConditions: [],
      };
    case 'AlwaysAllow':
    case 'AlwaysDeny':
    case 'ABAC':
      throw new Error(`--authorization-mode ${mode} is not supported: access is denied by default and granted by RBAC`);
    default:
      throw new Error(`--authorization-mode: ${JSON.stringify(mode)} is no mode; supported: Node, RBAC, Webhook`);
  }
}

function resolverOf(type: ConfiguredAuthorizer['type'], { rbac }: AuthorizationDeps): RuleResolver {
  if (type === 'RBAC') return rbac;
  if (type === 'Node') return unresolvableRules('node', (user) => nodeNameOf(user) !== undefined);
  return unresolvableRules('webhook', () => true);
}

async function authorizerOf(configured: ConfiguredAuthorizer, index: number, deps: AuthorizationDeps): Promise<Authorizer> {
  if (configured.type === 'Node') return deps.node;
  if (configured.type === 'RBAC') return deps.rbac;
  const { clock, logger } = deps;
  const [{ WebhookAuthorizer }, { webhookClient }] = await Promise.all([
    import('@coffer/apiserver/authorization/webhook-authorizer'),
    import('./webhook-client.ts'),
  ]);
  const webhook = new WebhookAuthorizer({
    client: webhookClient(configured.kubeConfigFile, clock, configured.timeoutMs),
    version: configured.version,
    authorizedTtlMs: configured.authorizedTtlMs,
    unauthorizedTtlMs: configured.unauthorizedTtlMs,
    failurePolicy: configured.failurePolicy,
    clock,
    logger,
  });
  if (configured.matchConditions.length === 0) return webhook;
  const { MatchConditions } = await import('@coffer/apiserver/authorization/match-conditions');
  const where = `authorizers[${index}].webhook.matchConditions`;
  return new MatchConditions(configured.matchConditions, webhook, configured.failurePolicy, logger, where);
}
