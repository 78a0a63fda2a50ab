import { dialText } from '@coffer/apiserver/kubelet-client/dial-error';
import { type WebhookClient, WebhookError } from '@coffer/apiserver/webhook/webhook-client';
import type { Clock } from '@coffer/base/time/clock';
import { loadKubeconfig, resolveConnection } from '@coffer/client/kubeconfig/connection';
import { httpsTransport } from '@coffer/client/transport/https';

const defaultTimeoutMs = 30_000;

/** The webhook of a kubeconfig file, as upstream's `--…-webhook-config-file` flags take one: its cluster's server is the URL. */
export function webhookClient(file: string, clock: Clock, timeoutMs: number = defaultTimeoutMs): WebhookClient {
  const connection = resolveConnection(loadKubeconfig(file), clock);
  const transport = httpsTransport({ connection, clock, userAgent: 'kube-apiserver-webhook' });
  const path = new URL(connection.server).pathname === '/' ? '/' : '';
  return {
    async post(body) {
      const response = await transport
        .request({
          method: 'POST',
          path,
          headers: { 'content-type': 'application/json', accept: 'application/json' },
          body: JSON.stringify(body),
          signal: AbortSignal.timeout(timeoutMs),
        })
        .catch((error: unknown) => {
          throw unreachable(connection.server, error);
        });
      const { status } = response;
      if (status < 200 || status > 299)
        throw new WebhookError(`the webhook answered ${status}`, status === 429 || (status >= 500 && status !== 503));
      const text = Buffer.from(response.body).toString('utf8');
      try {
        return text.trim() === '' ? undefined : JSON.parse(text);
      } catch (error) {
        throw new WebhookError('the webhook did not answer with JSON', false, { cause: error });
      }
    },
  };
}

/** As a client in Go puts it. What a proxy or a restart of the webhook explains may pass; nobody listening does not, at once. */
function unreachable(server: string, cause: unknown): WebhookError {
  const { hostname, port } = new URL(server);
  const error = cause instanceof Error ? cause : new Error(String(cause));
  const isTimeout = error.name === 'TimeoutError';
  const why = isTimeout
    ? 'context deadline exceeded'
    : dialText({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 443) }, error);
  const refused = 'code' in error && error.code === 'ECONNREFUSED';
  return new WebhookError(`Post ${JSON.stringify(server)}: ${why}`, !isTimeout && !refused, { cause });
}
