import type { Authorizer } from '@coffer/apiserver/authorization/authorizer';
import { nodeNameOf } from '@coffer/apiserver/authorization/node/node-authorizer';
import type { RbacAuthorizer } from '@coffer/apiserver/authorization/rbac/rbac-authorizer';
import { systemMastersAuthorizer } from '@coffer/apiserver/authorization/system-masters';
import { unionAuthorizer } from '@coffer/apiserver/authorization/union';
import { type RuleResolver, unresolvableRules } from '@coffer/apiserver/registry/reviews/access-reviews';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { AccessFlags } from '../up/access-flags.ts';

export interface AuthorizationDeps {
  readonly node: Authorizer;
  readonly rbac: RbacAuthorizer;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface Authorization {
  readonly authorizer: Authorizer;
  /** What can say which rules a user has, in the order of the authorizers. */
  readonly ruleResolvers: readonly RuleResolver[];
}

/** The authorizers of `--authorization-mode` in their order, behind `system:masters`. */
export async function wireAuthorization(flags: AccessFlags, deps: AuthorizationDeps): Promise<Authorization> {
  const modes = flags.authorizationMode;
  if (modes.length === 0) throw new Error('--authorization-mode: at least one mode is required');
  const twice = modes.find((mode, index) => modes.indexOf(mode) < index);
  if (twice !== undefined) throw new Error(`--authorization-mode: ${twice} stands twice`);
  if (flags.authorizationWebhookConfigFile && !modes.includes('Webhook')) {
    throw new Error('--authorization-webhook-config-file needs --authorization-mode with Webhook');
  }
  const authorizers: Authorizer[] = [systemMastersAuthorizer];
  for (const mode of modes) authorizers.push(await authorizerOf(mode, flags, deps));
  return { authorizer: unionAuthorizer(authorizers), ruleResolvers: modes.map((mode) => resolverOf(mode, deps)) };
}

function resolverOf(mode: string, { rbac }: AuthorizationDeps): RuleResolver {
  if (mode === 'RBAC') return rbac;
  if (mode === 'Node') return unresolvableRules('node', (user) => nodeNameOf(user) !== undefined);
  return unresolvableRules('webhook', () => true);
}

async function authorizerOf(mode: string, flags: AccessFlags, deps: AuthorizationDeps): Promise<Authorizer> {
  switch (mode) {
    case 'Node':
      return deps.node;
    case 'RBAC':
      return deps.rbac;
    case 'Webhook': {
      if (!flags.authorizationWebhookConfigFile) throw new Error('--authorization-mode Webhook needs --authorization-webhook-config-file');
      const [{ WebhookAuthorizer }, { webhookClient }] = await Promise.all([
        import('@coffer/apiserver/authorization/webhook-authorizer'),
        import('./webhook-client.ts'),
      ]);
      return new WebhookAuthorizer({
        client: webhookClient(flags.authorizationWebhookConfigFile, deps.clock),
        version: flags.authorizationWebhookVersion,
        authorizedTtlMs: flags.authorizationWebhookCacheAuthorizedTtl,
        unauthorizedTtlMs: flags.authorizationWebhookCacheUnauthorizedTtl,
        clock: deps.clock,
        logger: deps.logger,
      });
    }
    case 'AlwaysAllow':
    case 'AlwaysDeny':
    case 'ABAC':
      throw new Error(`--authorization-mode ${mode} is not supported: access is denied by default and granted by RBAC`);
    default:
      throw new Error(`--authorization-mode: ${JSON.stringify(mode)} is no mode; supported: Node, RBAC, Webhook`);
  }
}
