import { describe, expect, it } from 'vitest';
import { HealthChecks } from './health-checks.ts';

async function ask(checks: HealthChecks, url: string): Promise<string> {
  const [path = '', query = ''] = url.split('?');
  const response = await checks.serve(path, new URLSearchParams(query));
  return response?.kind === 'full' ? `${response.status} ${String(response.body)}` : 'not a health path';
}

describe('HealthChecks', () => {
  const checks = new HealthChecks();
  let broken = false;
  checks.add({
    name: 'etcd',
    endpoints: ['readyz'],
    check: () => {
      if (broken) throw new Error('disk full: /secret/path');
    },
  });

  it('answers ok, the list, single checks and nothing else', async () => {
    expect(await ask(checks, '/readyz')).toBe('200 ok');
    expect(await ask(checks, '/readyz?verbose')).toBe('200 [+]ping ok\n[+]etcd ok\nreadyz check passed\n');
    expect(await ask(checks, '/livez?verbose')).toBe('200 [+]ping ok\nlivez check passed\n');
    expect(await ask(checks, '/readyz/etcd')).toBe('200 ok');
    expect(await ask(checks, '/livez/etcd')).toBe('404 404 page not found\n');
    expect(await ask(checks, '/readyzz')).toBe('not a health path');
    expect(checks.paths()).toEqual(['/healthz', '/healthz/ping', '/livez', '/livez/ping', '/readyz', '/readyz/ping', '/readyz/etcd']);
  });

  it('names what failed and withholds why', async () => {
    broken = true;
    expect(await ask(checks, '/readyz')).toBe('500 [+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n');
    expect(await ask(checks, '/readyz/etcd')).toBe('500 internal server error: reason withheld\n');
    expect(await ask(checks, '/readyz?exclude=etcd')).toBe('200 ok');
    expect(await ask(checks, '/livez')).toBe('200 ok');
  });

  it('counts a step of the start when it is done', async () => {
    let finish: () => void = () => {};
    const step = checks.step('poststarthook/slow', () => new Promise((resolve) => (finish = resolve)));
    expect(await ask(checks, '/livez/poststarthook/slow')).toBe('500 internal server error: reason withheld\n');
    expect(await ask(checks, '/livez')).toBe('500 [+]ping ok\n[-]poststarthook/slow failed: reason withheld\nlivez check failed\n');
    finish();
    await step;
    expect(await ask(checks, '/livez?verbose')).toBe('200 [+]ping ok\n[+]poststarthook/slow ok\nlivez check passed\n');
  });
});
