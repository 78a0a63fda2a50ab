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
          throw new WebhookError('the webhook cannot be reached', true, { cause: error });
        });
      const { status } = response;
      if (status < 200 || status > 299) throw new WebhookError(`the webhook answered ${status}`, status === 429 || status >= 500);
      const text = Buffer.from(response.body).toString('utf8');
      try {
        return text.trim() === '' ? undefined : JSON.parse(text);
      } catch (error) {
        throw new WebhookError('the webhook did not answer with JSON', false, { cause: error });
      }
    },
  };
}
