import { createDecipheriv } from 'node:crypto';
import { copyFile, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import type { Backend } from '@coffer/storage/backend/backend';
import { openEtcdBackend } from '@coffer/storage/backend/etcd';
import { TestKmsPlugin } from '@coffer/storage/testing/kms-plugin';
import { load } from 'js-yaml';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CofferProcess, delay, eventually } from '../support/coffer-process.ts';
import {
  EncryptionSession,
  encryptionStatus,
  identity,
  type SecretItem,
  secretsPath,
  writeConfiguration,
} from '../support/encryption-session.ts';
import { EtcdProcess, etcdProgram } from '../support/etcd-process.ts';
import golden from './golden-stored-values.json' with { type: 'json' };

// Several API servers on one etcd, which holds values as a kube-apiserver writes them: made by hack/golden-stored-values.py, not by us.

if (etcdProgram === undefined) console.log('skipped: encryption on etcd (no etcd on this machine; Debian: etcd-server)');

describe.skipIf(etcdProgram === undefined)('API servers on one etcd', () => {
  const session = new EncryptionSession();
  let etcd: EtcdProcess;
  let backend: Backend;
  let plugin: TestKmsPlugin;
  let directory: string;

  beforeEach(async () => {
    directory = await session.newDirectory();
    etcd = await EtcdProcess.start();
    backend = await openEtcdBackend({ endpoints: [etcd.endpoint] });
    plugin = new TestKmsPlugin(path.join(directory, 'kms.sock'));
    await plugin.start();
  });

  afterEach(async () => {
    await session.end();
    plugin.stop();
    await backend.close();
    await etcd.dispose();
  });

  const configuration = (name: string) => path.join(directory, `${name}.json`);

  /** A server with a copy of the configuration of its own. */
  async function start(name: string): Promise<CofferProcess> {
    const keys = { keys: [{ name: 'golden', secret: golden.secret }] };
    const kms = { kms: { apiVersion: 'v2', name: 'vault', endpoint: `unix://${plugin.socket}`, timeout: '1s' } };
    await writeConfiguration(configuration(name), { aesgcm: keys }, { aescbc: keys }, { secretbox: keys }, kms, identity);
    const store = ['--storage-backend', 'etcd', '--etcd-servers', etcd.endpoint];
    return session.start(await session.newDirectory(), { args: [...store, '--encryption-provider-config', configuration(name)] });
  }

  const passwords = Object.fromEntries(golden.values.map(({ name, password }) => [name, password]));

  async function readPasswords(server: CofferProcess): Promise<Record<string, string>> {
    const items = (await server.call('GET', secretsPath)).body.items as SecretItem[];
    return Object.fromEntries(items.map(({ metadata, data }) => [metadata.name, Buffer.from(data?.password ?? '', 'base64').toString()]));
  }

  it('read what others have written, and exchange a key only when every one of them has it', async () => {
    for (const { key, stored } of golden.values) await backend.create(key, Buffer.from(stored, 'base64'));
    const one = await start('one');
    const two = await start('two');
    expect(await readPasswords(one)).toEqual(passwords);
    const shown = await two.kubectl([
      'get',
      'secret',
      'kms-seed-protobuf',
      '-o',
      'jsonpath={.metadata.uid} {.type} {.metadata.creationTimestamp}',
    ]);
    expect(shown.stdout).toBe('uid-kms-seed-protobuf Opaque 2023-11-14T22:13:20Z');
    expect((await encryptionStatus(one)).resources[0]).toMatchObject({
      objects: { 'aesgcm/golden': 2, 'aescbc/golden': 2, 'secretbox/golden': 2, 'kms/vault': 4, identity: 2 },
      stale: 10,
      unreadable: 0,
    });

    expect((await one.call('POST', '/coffer/v1/encryption/rotate?rate=1000')).status).toBe(202);
    const progress = async () => (await one.call('GET', '/coffer/v1/encryption/rotate')).body.rotation;
    // The other server does not have the new key: nothing goes on without it.
    await delay(2000);
    expect(await progress()).toMatchObject({ running: true, step: 1, written: 0 });
    expect(await readPasswords(two)).toEqual(passwords);

    const [rotated] = await Promise.all([
      eventually('the end of the rotation', async () => {
        const now = await progress();
        return now.running ? false : now;
      }),
      bringOver('one', 'two', async () => (await progress()).running),
    ]);
    expect(rotated).toMatchObject({ step: 'done', written: 12 });
    expect(await readPasswords(one)).toEqual(passwords);
    expect(await readPasswords(two)).toEqual(passwords);

    const written = load(await readFile(configuration('one'), 'utf8')) as Configuration;
    const [first] = written.resources[0]?.providers[0]?.aesgcm?.keys ?? [];
    const { kvs } = await backend.list('/registry/secrets/default/');
    expect(kvs).toHaveLength(12);
    for (const { key, value } of kvs) {
      const { metadata } = decryptWithNode(Buffer.from(value), key, first);
      expect(`/registry/secrets/default/${metadata.name}`).toBe(key);
    }
  });

  /** What an operator's configuration management does: the file of one server becomes that of another. */
  async function bringOver(from: string, to: string, goOn: () => Promise<boolean>): Promise<void> {
    for (;;) {
      const temporary = `${configuration(to)}.next`;
      await copyFile(configuration(from), temporary);
      await rename(temporary, configuration(to));
      if (!(await goOn())) return;
      await delay(100);
    }
  }
});

interface Configuration {
  readonly resources: readonly { readonly providers: readonly { readonly aesgcm?: { readonly keys: readonly Key[] } }[] }[];
}

interface Key {
  readonly name: string;
  readonly secret: string;
}

/** Reads a stored value as kube-apiserver would, with nothing of ours. */
function decryptWithNode(stored: Buffer, key: string, encryptionKey: Key | undefined): SecretItem {
  const prefix = `k8s:enc:aesgcm:v1:${encryptionKey?.name}:`;
  expect(stored.subarray(0, prefix.length).toString()).toBe(prefix);
  const body = stored.subarray(prefix.length);
  const decipher = createDecipheriv('aes-256-gcm', Buffer.from(encryptionKey?.secret ?? '', 'base64'), body.subarray(0, 12));
  decipher.setAAD(Buffer.from(key));
  decipher.setAuthTag(body.subarray(-16));
  return JSON.parse(Buffer.concat([decipher.update(body.subarray(12, -16)), decipher.final()]).toString('utf8'));
}
