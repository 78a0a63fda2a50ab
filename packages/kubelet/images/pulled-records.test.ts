import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RegistryAuth } from '@coffer/cri/runtime/container-runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PulledRecords } from './pulled-records.ts';

const auth = (username: string, password: string): RegistryAuth => ({
  username,
  password,
  auth: '',
  serverAddress: '',
  identityToken: '',
  registryToken: '',
});
const mine = auth('me', 'sesame');

describe('PulledRecords', () => {
  let directory: string;
  let records: PulledRecords;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pulled-records-'));
    records = new PulledRecords(directory);
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));
  const mayUse = (image: string, ...credentials: RegistryAuth[]) => records.mayUse('sha256:1', image, async () => credentials);

  it('leaves images to everybody that the kubelet did not pull', async () => {
    expect(await mayUse('r.io/app')).toBe(true);
  });

  it('asks for the credentials that once worked, under the name they worked for', async () => {
    await records.begin('r.io/app');
    await records.pulled('sha256:1', 'r.io/app', mine);
    expect(await mayUse('r.io/app')).toBe(false);
    expect(await mayUse('r.io/app', auth('me', 'wrong'), auth('you', 'sesame'))).toBe(false);
    expect(await mayUse('r.io/app', auth('you', 'other'), mine)).toBe(true);
    expect(await mayUse('r.io/other', mine)).toBe(false);
    await records.pulled('sha256:1', 'r.io/app', auth('you', 'other'));
    expect(await mayUse('r.io/app', mine)).toBe(true);
  });

  it('is open once the image could be pulled without credentials', async () => {
    await records.pulled('sha256:1', 'r.io/app', mine);
    await records.pulled('sha256:1', 'r.io/app', undefined);
    expect(await mayUse('r.io/app')).toBe(true);
  });

  it('survives the process, also in the middle of a pull, and holds no credentials', async () => {
    await records.begin('r.io/half');
    await records.pulled('sha256:1', 'r.io/app', mine);
    records = new PulledRecords(directory);
    expect(await records.mayUse('sha256:2', 'r.io/half', async () => [mine])).toBe(false);
    expect(await mayUse('r.io/app')).toBe(false);
    await records.abandon('r.io/half');
    expect(await records.mayUse('sha256:2', 'r.io/half', async () => [])).toBe(true);
    const files = await readdir(join(directory, 'pulled'));
    for (const file of files) expect(await readFile(join(directory, 'pulled', file), 'utf8')).not.toContain('sesame');
    expect(files).toHaveLength(1);
  });

  it('forgets images that are gone', async () => {
    await records.pulled('sha256:1', 'r.io/app', mine);
    await records.pulled('sha256:2', 'r.io/app', mine);
    const list = async () => {
      await records.pulled('sha256:3', 'r.io/meanwhile', mine);
      return ['sha256:2'];
    };
    await records.forgetOthers(list, (ids) => ids);
    expect(await readdir(join(directory, 'pulled'))).toHaveLength(2);
    expect(await mayUse('r.io/app')).toBe(true);
    expect(await records.mayUse('sha256:3', 'r.io/meanwhile', async () => [])).toBe(false);
  });
});
