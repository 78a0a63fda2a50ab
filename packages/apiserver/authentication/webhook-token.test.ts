import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { describe, expect, it } from 'vitest';
import { WebhookError } from '../webhook/webhook-client.ts';
import { WebhookTokenAuthenticator } from './webhook-token.ts';

const own = ['https://api'];
const jane = { username: 'jane', uid: '7', groups: ['devs'], extra: { 'example.com/a': ['b'] } };

function setUp(answers: readonly (object | Error)[]) {
  const clock = new FakeClock();
  const sent: object[] = [];
  const authenticator = new WebhookTokenAuthenticator({
    client: {
      async post(body) {
        sent.push(body);
        const answer = answers[Math.min(sent.length, answers.length) - 1];
        if (answer instanceof Error) throw answer;
        return { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', status: answer };
      },
    },
    version: 'v1',
    cacheTtlMs: 120_000,
    apiAudiences: own,
    clock,
    logger: silentLogger,
    retries: { attempts: 3, initialDelayMs: 0, factor: 1 },
  });
  return { clock, sent, authenticator };
}

describe('WebhookTokenAuthenticator', () => {
  it('asks by TokenReview and takes the user of the answer', async () => {
    const { authenticator, sent } = setUp([{ authenticated: true, user: jane }]);
    expect(await authenticator.authenticateToken('t', own)).toEqual({
      user: { name: 'jane', uid: '7', groups: ['devs'], extra: { 'example.com/a': ['b'] } },
      audiences: own,
    });
    expect(sent).toEqual([{ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token: 't', audiences: own } }]);
  });

  it('remembers answers of both kinds for their time', async () => {
    const { authenticator, sent, clock } = setUp([{ authenticated: true, user: jane }, { authenticated: false }]);
    await authenticator.authenticateToken('t', own);
    await authenticator.authenticateToken('t', own);
    expect(sent).toHaveLength(1);
    await clock.advance(120_000);
    expect(await authenticator.authenticateToken('t', own)).toBeUndefined();
    await authenticator.authenticateToken('t', own);
    expect(sent).toHaveLength(2);
  });

  it('asks once for requests that come at the same time', async () => {
    const { authenticator, sent } = setUp([{ authenticated: true, user: jane }]);
    await Promise.all([1, 2, 3].map(() => authenticator.authenticateToken('t', own)));
    expect(sent).toHaveLength(1);
  });

  it('tries again after failures that may pass, and accepts nobody when they do not', async () => {
    const down = new WebhookError('down', true);
    const recovered = setUp([down, { authenticated: true, user: jane }]);
    expect((await recovered.authenticator.authenticateToken('t', own))?.user.name).toBe('jane');
    const { authenticator, sent } = setUp([down]);
    await expect(authenticator.authenticateToken('t', own)).rejects.toThrow('the token webhook did not answer');
    expect(sent).toHaveLength(3);
    const refused = setUp([new WebhookError('the webhook answered 403', false)]);
    await expect(refused.authenticator.authenticateToken('t', own)).rejects.toThrow();
    expect(refused.sent).toHaveLength(1);
  });

  it('counts only audiences the caller stands for', async () => {
    const { authenticator } = setUp([{ authenticated: true, user: jane, audiences: ['vault'] }]);
    expect(await authenticator.authenticateToken('t', own)).toBeUndefined();
    expect((await authenticator.authenticateToken('t', ['vault', 'x']))?.audiences).toEqual(['vault']);
  });

  it('passes on why a token was refused', async () => {
    const { authenticator } = setUp([{ authenticated: false, error: 'token revoked' }]);
    await expect(authenticator.authenticateToken('t', own)).rejects.toThrow('token revoked');
  });
});
