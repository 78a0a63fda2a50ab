import type { HttpResponse } from '@coffer/base/http/handler';

/** One named check; resolves when healthy, rejects or throws with the reason when not. */
export interface HealthCheck {
  readonly name: string;
  readonly check: () => void | Promise<void>;
  /** Which endpoints it counts for; default all three. */
  readonly endpoints?: readonly HealthEndpoint[];
}

const healthEndpoints = ['healthz', 'livez', 'readyz'] as const;

export type HealthEndpoint = (typeof healthEndpoints)[number];

/**
 * `/healthz`, `/livez` and `/readyz` as kube-apiserver serves them: `ok`, the list with `?verbose`, single checks as
 * sub-paths, `?exclude=name`. A failure says which check failed; the reason goes to whoever asked only as "reason withheld".
 */
export class HealthChecks {
  readonly #checks: HealthCheck[] = [{ name: 'ping', check: () => {} }];

  add(check: HealthCheck): void {
    this.#checks.push(check);
  }

  /** A check that fails until `run` has succeeded: a step of the start. */
  async step(name: string, run: () => Promise<void>): Promise<void> {
    let done = false;
    this.add({
      name,
      check() {
        if (!done) throw new Error('not finished');
      },
    });
    await run();
    done = true;
  }

  /** Every path that is answered. */
  paths(): string[] {
    return healthEndpoints.flatMap((endpoint) => [`/${endpoint}`, ...this.#of(endpoint).map(({ name }) => `/${endpoint}/${name}`)]);
  }

  /** Answers a health path, or undefined when `path` is none. */
  async serve(path: string, query: URLSearchParams): Promise<HttpResponse | undefined> {
    const match = /^\/(healthz|livez|readyz)(?:\/(.+))?$/.exec(path);
    if (!match) return undefined;
    const endpoint = match[1] as HealthEndpoint;
    const checks = this.#of(endpoint);
    if (match[2] !== undefined) return this.#single(checks, match[2]);
    return this.#all(endpoint, checks, new Set(query.getAll('exclude')), query.has('verbose'));
  }

  #of(endpoint: HealthEndpoint): readonly HealthCheck[] {
    return this.#checks.filter((check) => check.endpoints === undefined || check.endpoints.includes(endpoint));
  }

  async #all(endpoint: HealthEndpoint, checks: readonly HealthCheck[], excluded: Set<string>, verbose: boolean): Promise<HttpResponse> {
    const lines: string[] = [];
    let failed = false;
    for (const { name, check } of checks) {
      if (excluded.delete(name)) {
        lines.push(`[+]${name} excluded: ok`);
        continue;
      }
      const healthy = await passes(check);
      lines.push(healthy ? `[+]${name} ok` : `[-]${name} failed: reason withheld`);
      failed ||= !healthy;
    }
    if (excluded.size > 0) {
      const names = [...excluded].map((name) => JSON.stringify(name)).join(', ');
      lines.push(`warn: some health checks cannot be excluded: no matches for ${names}`);
    }
    if (failed) return text(500, `${lines.join('\n')}\n${endpoint} check failed\n`);
    return text(200, verbose ? `${lines.join('\n')}\n${endpoint} check passed\n` : 'ok');
  }

  async #single(checks: readonly HealthCheck[], name: string): Promise<HttpResponse> {
    const found = checks.find((check) => check.name === name);
    if (!found) return text(404, '404 page not found\n');
    return (await passes(found.check)) ? text(200, 'ok') : text(500, 'internal server error: reason withheld\n');
  }
}

async function passes(check: HealthCheck['check']): Promise<boolean> {
  try {
    await check();
    return true;
  } catch {
    return false; // the reason is kept from whoever asks; each check logs its own
  }
}

function text(status: number, body: string): HttpResponse {
  return { kind: 'full', status, headers: { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' }, body };
}
