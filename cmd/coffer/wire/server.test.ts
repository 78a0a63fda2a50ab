import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { silentLogger } from '@coffer/base/log/logger';
import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import * as kubeconfig from '../config/kubeconfig.ts';
import { dataPaths } from '../config/paths.ts';
import { addServerFlags, type ServerFlags } from '../config/server-flags.ts';
import { startServer } from './server.ts';

vi.mock('../config/kubeconfig.ts', { spy: true });

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'coffer-start-'));
});
afterEach(() => rm(directory, { recursive: true }));

function statusOf(url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    request(url, { rejectUnauthorized: false, agent: false }, (response) => resolve(response.resume().statusCode ?? 0))
      .on('error', reject)
      .end();
  });
}

describe('startServer', () => {
  it('is not ready before the kubeconfig is written', async () => {
    const { writeKubeconfig } = await vi.importActual<typeof kubeconfig>('../config/kubeconfig.ts');
    const before = new Map<string, number>();
    vi.mocked(kubeconfig.writeKubeconfig).mockImplementationOnce(async (file, url, ...rest) => {
      for (const endpoint of ['readyz', 'healthz', 'livez']) before.set(endpoint, await statusOf(`${url}/${endpoint}`));
      await writeKubeconfig(file, url, ...rest);
    });
    const command = new Command();
    addServerFlags(command);
    command.parse(['--data-dir', directory, '--secure-port', '0', '--storage-backend', 'memory'], { from: 'user' });
    const server = await startServer(command.opts<ServerFlags>(), {
      paths: dataPaths(directory),
      logger: silentLogger,
      podGateway: Promise.resolve(undefined),
      nodeApiFor: () => undefined,
      onFatal: (error) => expect.unreachable(error.message),
    });
    try {
      expect(Object.fromEntries(before)).toEqual({ readyz: 500, healthz: 500, livez: 200 });
      for (const endpoint of ['readyz', 'healthz', 'livez']) expect(await statusOf(`${server.front.url}/${endpoint}`), endpoint).toBe(200);
    } finally {
      await server.close(0);
    }
  });
});
