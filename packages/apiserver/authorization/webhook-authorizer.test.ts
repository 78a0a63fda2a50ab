import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { describe, expect, it } from 'vitest';
import { WebhookError } from '../webhook/webhook-client.ts';
import type { Attributes } from './authorizer.ts';
import { type FailurePolicy, WebhookAuthorizer } from './webhook-authorizer.ts';

const request: Attributes = {
  user: { name: 'jane', groups: ['devs'], uid: '7' },
  verb: 'list',
  isResourceRequest: true,
  group: '',
  version: 'v1',
  resource: 'pods',
  subresource: '',
  namespace: 'ns',
  name: '',
  path: '',
  fieldSelector: 'spec.nodeName=n1',
};

function setUp(answers: readonly (object | Error)[], version: 'v1' | 'v1beta1' = 'v1', failurePolicy: FailurePolicy = 'NoOpinion') {
  const clock = new FakeClock();
  const sent: object[] = [];
  const authorizer = new WebhookAuthorizer({
    client: {
      async post(body) {
        sent.push(body);
        const answer = answers[Math.min(sent.length, answers.length) - 1];
        if (answer instanceof Error) throw answer;
        return { status: answer };
      },
    },
    version,
    authorizedTtlMs: 300_000,
    unauthorizedTtlMs: 30_000,
    failurePolicy,
    clock,
    logger: silentLogger,
    retries: { attempts: 2, initialDelayMs: 0, factor: 1 },
  });
  return { clock, sent, authorizer };
}

describe('WebhookAuthorizer', () => {
  it('asks by SubjectAccessReview', async () => {
    const { authorizer, sent } = setUp([{ allowed: true, reason: 'because' }]);
    expect(await authorizer.authorize(request)).toEqual({ decision: 'allow', reason: 'because' });
    expect(sent).toEqual([
      {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: {
          resourceAttributes: {
            namespace: 'ns',
            verb: 'list',
            version: 'v1',
            resource: 'pods',
            fieldSelector: { requirements: [{ key: 'spec.nodeName', operator: 'In', values: ['n1'] }] },
          },
          user: 'jane',
          uid: '7',
          groups: ['devs'],
        },
      },
    ]);
  });

  it('calls groups by their old name in v1beta1', async () => {
    const { authorizer, sent } = setUp([{ allowed: false }], 'v1beta1');
    await authorizer.authorize(request);
    expect(sent[0]).toMatchObject({ apiVersion: 'authorization.k8s.io/v1beta1', spec: { group: ['devs'] } });
  });

  it('tells a refusal from no opinion', async () => {
    expect(await setUp([{ allowed: false, denied: true, reason: 'no' }]).authorizer.authorize(request)).toEqual({
      decision: 'deny',
      reason: 'no',
    });
    expect(await setUp([{ allowed: false }]).authorizer.authorize(request)).toEqual({ decision: 'no-opinion', reason: '' });
  });

  it('remembers permissions longer than refusals', async () => {
    const { authorizer, sent, clock } = setUp([{ allowed: false }, { allowed: true }, { allowed: false }]);
    const decide = async () => (await authorizer.authorize(request)).decision;
    expect([await decide(), await decide(), sent.length]).toEqual(['no-opinion', 'no-opinion', 1]);
    await clock.advance(30_000);
    expect([await decide(), sent.length]).toEqual(['allow', 2]);
    await clock.advance(299_000);
    expect([await decide(), sent.length]).toEqual(['allow', 2]);
    await clock.advance(1_000);
    expect([await decide(), sent.length]).toEqual(['no-opinion', 3]);
  });

  it('allows nothing when the webhook fails or contradicts itself, and says what went wrong', async () => {
    const decide = (answer: object | Error, failurePolicy?: 'Deny') => setUp([answer], 'v1', failurePolicy).authorizer.authorize(request);
    const down = new WebhookError('down', true);
    expect(await decide(down)).toEqual({ decision: 'no-opinion', reason: '', error: 'down' });
    expect(await decide(down, 'Deny')).toEqual({ decision: 'deny', reason: '', error: 'down' });
    expect(await decide({ allowed: true, denied: true, reason: 'both' })).toEqual({
      decision: 'deny',
      reason: 'both',
      error: 'webhook subject access review returned both allow and deny response',
    });
    expect(await decide({})).toEqual({ decision: 'no-opinion', reason: '' });
  });
});
