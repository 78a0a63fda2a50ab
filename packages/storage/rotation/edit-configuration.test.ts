import { load } from 'js-yaml';
import { describe, expect, it } from 'vitest';
import { addSecondKeys, keysToRotate, putNewKeysFirst, removeOldKeys } from './edit-configuration.ts';

const secret = (letter: string) => Buffer.alloc(32, letter).toString('base64');
const text = `
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - aesgcm: {keys: [{name: a, secret: ${secret('a')}}, {name: older, secret: ${secret('o')}}]}
  - identity: {}
- resources: [configmaps]
  providers: [{identity: {}}, {secretbox: {keys: [{name: b, secret: ${secret('b')}}]}}]
- resources: ['*.apps']
  providers: [{secretbox: {keys: [{name: c, secret: ${secret('c')}}]}}]
- resources: ['*.*']
  providers: [{kms: {apiVersion: v2, name: vault, endpoint: 'unix:///x'}}]
`;

const names = (changed: string) =>
  (load(changed) as { resources: { providers: Record<string, { keys?: { name: string }[] }>[] }[] }).resources.map(({ providers }) =>
    providers.map((provider) =>
      Object.entries(provider)
        .map(([kind, { keys }]) => `${kind}:${(keys ?? []).map(({ name }) => name).join()}`)
        .join(),
    ),
  );

describe('the steps of a rotation in the configuration', () => {
  let number = 0;
  const rotated = keysToRotate(text, () => `new${++number}`);

  it('exchange the keys of each first provider that has keys of its own', () => {
    expect(rotated).toEqual([
      { rule: 0, provider: 'aesgcm', newName: 'new1', oldNames: ['a', 'older'] },
      { rule: 2, provider: 'secretbox', newName: 'new2', oldNames: ['c'] },
    ]);
    const first = addSecondKeys(text, rotated, () => secret('n'));
    const rest = [['identity:', 'secretbox:b'], ['kms:']];
    expect(names(first)).toEqual([['aesgcm:a,new1,older', 'identity:'], rest[0], ['secretbox:c,new2'], rest[1]]);
    const second = putNewKeysFirst(first, rotated);
    expect(names(second)).toEqual([['aesgcm:new1,a,older', 'identity:'], rest[0], ['secretbox:new2,c'], rest[1]]);
    const last = removeOldKeys(second, rotated);
    expect(names(last)).toEqual([['aesgcm:new1', 'identity:'], rest[0], ['secretbox:new2'], rest[1]]);
    expect(last).not.toContain(secret('a'));
    expect(last).toContain(secret('b'));
  });

  it('change nothing the second time', () => {
    const first = addSecondKeys(text, rotated, () => secret('n'));
    expect(addSecondKeys(first, rotated, () => secret('m'))).toBe(first);
    const second = putNewKeysFirst(first, rotated);
    expect(putNewKeysFirst(second, rotated)).toBe(second);
    const last = removeOldKeys(second, rotated);
    expect(removeOldKeys(last, rotated)).toBe(last);
  });

  it('refuse a file from which the new key was taken away', () => {
    expect(() => putNewKeysFirst(text, rotated)).toThrow('the key "new1" of this rotation is not in the configuration any more');
  });
});
