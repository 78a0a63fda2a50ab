import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createAuthority, issueCertificate } from './certificates.ts';

const now = Date.UTC(2026, 0, 1);
const minute = 60_000;
const hour = 60 * minute;

async function validity(validityMs: number): Promise<readonly [startMs: number, lengthMs: number]> {
  const authority = await createAuthority('ca', now, 48 * hour);
  const { certificatePem } = await issueCertificate(authority, { commonName: 'x', usage: 'client', validityMs, nowMs: now });
  const { validFrom, validTo } = new X509Certificate(certificatePem);
  return [Date.parse(validFrom) - now, Date.parse(validTo) - Date.parse(validFrom)];
}

describe('certificates', () => {
  it.each([
    [10 * minute, 15 * minute],
    [2 * hour, 2 * hour + 5 * minute],
    [8 * hour, 8 * hour],
    [20 * hour, 20 * hour],
  ])('asked for %i ms are valid for %i, from five minutes ago', async (asked, got) => {
    expect(await validity(asked)).toEqual([-5 * minute, got]);
  });

  it('end with their authority at the latest', async () => {
    expect(await validity(100 * hour)).toEqual([-5 * minute, 48 * hour + 5 * minute]);
  });
});
