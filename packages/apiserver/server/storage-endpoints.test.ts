import type { HttpResponse } from '@coffer/base/http/handler';
import { describe, expect, it } from 'vitest';
import { type RequestContext, WarningList } from '../request/context.ts';
import { parseRequestInfo } from '../request/parse-request-info.ts';
import { type StorageAdmin, storageEndpoints } from './storage-endpoints.ts';

function setup(admin: Partial<StorageAdmin> = {}) {
  const rates: number[] = [];
  const endpoint = storageEndpoints({
    status: async () => ({ resources: [] }),
    rotate: async (rate) => {
      rates.push(rate);
      return { step: 1 };
    },
    rotation: () => ({ step: 3 }),
    verify: async () => ({ passed: true }),
    ...admin,
  });
  const ask = async (method: string, url: string): Promise<string> => {
    const [path = '', query = ''] = url.split('?');
    const params = new URLSearchParams(query);
    const http = { method, url, headers: {} };
    const info = parseRequestInfo(method, path, params);
    const context = { http, info, query: params, warnings: new WarningList() } as unknown as RequestContext;
    return describeResponse(await endpoint(context));
  };
  return { ask, rates };
}

async function describeResponse(response: HttpResponse | undefined): Promise<string> {
  if (response === undefined || response.kind === 'upgraded') return 'not mine';
  if (response.kind === 'full') return `${response.status} ${String(response.body)}`;
  const chunks: string[] = [];
  await response.run({
    write: (chunk) => chunks.push(Buffer.from(chunk as Uint8Array).toString()) > 0,
    drained: async () => {},
    bufferedBytes: 0,
    flush() {},
    signal: new AbortController().signal,
  });
  return `${response.status} ${chunks.join('')}`;
}

describe('storageEndpoints', () => {
  it('answers its own paths and methods only', async () => {
    const { ask, rates } = setup();
    expect(await ask('GET', '/coffer/v1/encryption')).toBe('200 {"resources":[]}\n');
    expect(await ask('POST', '/coffer/v1/encryption/verify')).toBe('200 {"passed":true}\n');
    expect(await ask('POST', '/coffer/v1/encryption/rotate')).toBe('202 {"step":1}\n');
    expect(await ask('POST', '/coffer/v1/encryption/rotate?rate=7')).toBe('202 {"step":1}\n');
    expect(rates).toEqual([200, 7]);
    expect(await ask('GET', '/coffer/v1/encryption/rotate')).toBe('200 {"rotation":{"step":3}}\n');
    expect(await ask('PUT', '/coffer/v1/encryption/rotate')).toContain('405');
    expect(await ask('POST', '/coffer/v1/encryption/rotate?rate=0')).toContain('rate must be a whole number');
    expect(await ask('GET', '/coffer/v1/other')).toBe('not mine');
    expect(await ask('GET', '/version')).toBe('not mine');
  });

  it('says why a rotation cannot begin, and where there are no backups', async () => {
    const { ask } = setup({ rotate: () => Promise.reject(new Error('there is no key to rotate')) });
    expect(await ask('POST', '/coffer/v1/encryption/rotate')).toMatch(/^409 .*there is no key to rotate/);
    expect(await ask('GET', '/coffer/v1/backup')).toMatch(/^501 .*only a server with the embedded store/);
  });

  it('streams a backup', async () => {
    const { ask } = setup({
      backup: async (write) => {
        await write(Buffer.from('one '));
        await write(Buffer.from('two'));
      },
    });
    expect(await ask('GET', '/coffer/v1/backup')).toBe('200 one two');
  });
});
