import { type Command, Option } from 'commander';
import { parseBoolean, parseDurationMs, parseInteger, parseList } from '../config/parse.ts';

/** Flags that say who may use the server and what is written down about it; kube-apiserver's names and defaults. */
export interface AccessFlags {
  readonly tokenAuthFile?: string;
  readonly clientCaFile?: string;
  readonly requestheaderClientCaFile?: string;
  readonly requestheaderAllowedNames: readonly string[];
  readonly requestheaderUsernameHeaders: readonly string[];
  readonly requestheaderUidHeaders: readonly string[];
  readonly requestheaderGroupHeaders: readonly string[];
  readonly requestheaderExtraHeadersPrefix: readonly string[];
  /** Undefined: not given; the authentication configuration may say otherwise then. */
  readonly anonymousAuth?: boolean;
  readonly enableBootstrapTokenAuth: boolean;
  readonly authenticationConfig?: string;
  readonly serviceAccountIssuer: readonly string[];
  readonly serviceAccountKeyFile: readonly string[];
  readonly serviceAccountSigningKeyFile?: string;
  readonly serviceAccountMaxTokenExpiration: number;
  readonly serviceAccountExtendTokenExpiration: boolean;
  readonly serviceAccountJwksUri?: string;
  readonly apiAudiences: readonly string[];
  readonly oidcIssuerUrl?: string;
  readonly oidcClientId: string;
  readonly oidcCaFile?: string;
  readonly oidcUsernameClaim: string;
  readonly oidcUsernamePrefix?: string;
  readonly oidcGroupsClaim?: string;
  readonly oidcGroupsPrefix: string;
  readonly oidcSigningAlgs: readonly string[];
  readonly oidcRequiredClaim: readonly string[];
  readonly authenticationTokenWebhookConfigFile?: string;
  readonly authenticationTokenWebhookCacheTtl: number;
  readonly authenticationTokenWebhookVersion: 'v1' | 'v1beta1';
  /** Undefined: not given; Node and RBAC then. */
  readonly authorizationMode?: readonly string[];
  readonly authorizationConfig?: string;
  readonly authorizationWebhookConfigFile?: string;
  readonly authorizationWebhookCacheAuthorizedTtl: number;
  readonly authorizationWebhookCacheUnauthorizedTtl: number;
  readonly authorizationWebhookVersion: 'v1' | 'v1beta1';
  readonly auditPolicyFile?: string;
  readonly auditAllowSecretBodies: boolean;
  readonly auditLogPath?: string;
  readonly auditLogMaxsize: number;
  readonly auditLogMaxage: number;
  readonly auditLogMaxbackup: number;
  readonly auditLogMode: 'blocking' | 'blocking-strict' | 'batch';
  readonly auditWebhookConfigFile?: string;
  readonly auditWebhookBatchMaxSize: number;
  readonly auditWebhookBatchMaxWait: number;
  readonly auditWebhookBatchBufferSize: number;
  readonly auditWebhookInitialBackoff: number;
}

const defaultIssuer: readonly string[] = ['https://kubernetes.default.svc.cluster.local'];
const none: readonly string[] = [];

export function addAccessFlags(command: Command): Command {
  addAuthenticationFlags(command);
  addOidcFlags(command);
  addRequestHeaderFlags(command);
  addAuthorizationFlags(command);
  addAuditFlags(command);
  return command;
}

function addAuthenticationFlags(command: Command): void {
  command
    .option('--token-auth-file <file>', 'CSV file with static tokens: token,user,uid,"group1,group2"')
    .option(
      '--client-ca-file <file>',
      'PEM file with further authorities whose client certificates are accepted; followed while it changes',
    )
    .option('--anonymous-auth <bool>', 'requests without credentials are user system:anonymous (default true)', parseBoolean)
    .option('--enable-bootstrap-token-auth <bool>', 'accept bootstrap tokens of kube-system', parseBoolean, true)
    .option('--authentication-config <file>', 'AuthenticationConfiguration: OIDC issuers and anonymous requests')
    .option(
      '--service-account-issuer <url>',
      'issuer of ServiceAccount tokens; repeated ones are only accepted',
      collect(defaultIssuer),
      defaultIssuer,
    )
    .option(
      '--service-account-key-file <file>',
      'PEM keys whose ServiceAccount tokens are accepted as well; repeatable',
      collect(none),
      none,
    )
    .option('--service-account-signing-key-file <file>', 'PEM private key that signs ServiceAccount tokens (default one of its own)')
    .option('--service-account-max-token-expiration <duration>', 'longest life of a token on request, 0 for no limit', parseDurationMs, 0)
    .option(
      '--service-account-extend-token-expiration <bool>',
      'tokens that admission puts into pods live for a year; use after the hour they are asked for is recorded by audit',
      parseBoolean,
      true,
    )
    .option('--service-account-jwks-uri <url>', 'address of the key set shown in the discovery document')
    .option('--api-audiences <list>', 'audiences of tokens for this server (default the issuer)', parseList, [])
    .option('--authentication-token-webhook-config-file <file>', 'kubeconfig of a webhook that knows tokens')
    .option('--authentication-token-webhook-cache-ttl <duration>', 'how long its answers hold', parseDurationMs, 120_000)
    .addOption(webhookVersion('--authentication-token-webhook-version <version>', 'API version of the TokenReviews it gets'));
}

function addRequestHeaderFlags(command: Command): void {
  command
    .option('--requestheader-client-ca-file <file>', 'PEM authorities of proxies whose headers say who the user is; followed')
    .option('--requestheader-allowed-names <list>', 'common names such a proxy may have (default any)', parseList, [])
    .option('--requestheader-username-headers <list>', 'headers that name the user', parseList, [])
    .option('--requestheader-uid-headers <list>', 'headers that hold the UID', parseList, [])
    .option('--requestheader-group-headers <list>', 'headers that hold a group each', parseList, [])
    .option('--requestheader-extra-headers-prefix <list>', 'what headers with further values begin with', parseList, []);
}

function addOidcFlags(command: Command): void {
  command
    .option('--oidc-issuer-url <url>', 'OpenID Connect issuer whose ID tokens are accepted')
    .option('--oidc-client-id <id>', 'audience of its tokens', '')
    .option('--oidc-ca-file <file>', 'PEM authority of the issuer’s server (default the system’s)')
    .option('--oidc-username-claim <claim>', 'claim that names the user', 'sub')
    .option('--oidc-username-prefix <prefix>', 'put before the name; "-" for nothing')
    .option('--oidc-groups-claim <claim>', 'claim that lists groups')
    .option('--oidc-groups-prefix <prefix>', 'put before each group', '')
    .option('--oidc-signing-algs <list>', 'accepted signatures', parseList, ['RS256'])
    .option('--oidc-required-claim <key=value>', 'claim a token must have; repeatable', collect(none), none);
}

function addAuthorizationFlags(command: Command): void {
  command
    .option('--authorization-mode <list>', 'authorizers in order: Node, RBAC, Webhook (default Node,RBAC)', parseList)
    .option(
      '--authorization-config <file>',
      'AuthorizationConfiguration: authorizers in order, webhooks with conditions; followed while it changes',
    )
    .option('--authorization-webhook-config-file <file>', 'kubeconfig of the webhook')
    .option('--authorization-webhook-cache-authorized-ttl <duration>', 'how long its permissions hold', parseDurationMs, 300_000)
    .option('--authorization-webhook-cache-unauthorized-ttl <duration>', 'how long its refusals hold', parseDurationMs, 30_000)
    .addOption(webhookVersion('--authorization-webhook-version <version>', 'API version of the SubjectAccessReviews it gets'));
}

function addAuditFlags(command: Command): void {
  command
    .option('--audit-policy-file <file>', 'audit.k8s.io/v1 Policy (default metadata of everything but health and discovery)')
    .option('--audit-allow-secret-bodies', 'let the policy record bodies of Secrets and tokens', false)
    .option('--audit-log-path <file>', 'file for audit events, one JSON document a line; "-" is standard output')
    .option('--audit-log-maxsize <megabytes>', 'size at which the file is rotated, 0 for never', parseInteger(0, 1_000_000), 0)
    .option('--audit-log-maxage <days>', 'age at which rotated files are removed, 0 for never', parseInteger(0, 36_500), 0)
    .option('--audit-log-maxbackup <n>', 'rotated files that are kept, 0 for all', parseInteger(0, 100_000), 0)
    .addOption(
      new Option('--audit-log-mode <mode>', 'whether a request waits until its event is written')
        .choices(['blocking', 'blocking-strict', 'batch'])
        .default('blocking'),
    )
    .option('--audit-webhook-config-file <file>', 'kubeconfig of a webhook that takes audit events')
    .option('--audit-webhook-batch-max-size <n>', 'most events in one call', parseInteger(1, 100_000), 400)
    .option('--audit-webhook-batch-max-wait <duration>', 'longest time an event waits for others', parseDurationMs, 30_000)
    .option('--audit-webhook-batch-buffer-size <n>', 'most events that wait', parseInteger(1, 10_000_000), 10_000)
    .option('--audit-webhook-initial-backoff <duration>', 'pause before the first retry', parseDurationMs, 10_000);
}

function webhookVersion(flags: string, description: string): Option {
  return new Option(flags, description).choices(['v1', 'v1beta1']).default('v1beta1');
}

/** Parser of a repeatable flag: the first use replaces the default, every further one adds to the list. */
function collect(defaults: readonly string[]): (value: string, previous: readonly string[]) => readonly string[] {
  return (value, previous) => (previous === defaults ? [value] : [...previous, value]);
}
