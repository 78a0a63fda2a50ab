import type { KubeObject } from '@coffer/api/meta/object';
import { describe, expect, it } from 'vitest';
import { isValidReference } from './image-manager.ts';
import { pullCredentials, splitImage } from './pull-secrets.ts';

function secret(auths: Record<string, object>): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 's' },
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64') },
  };
}

const users = (secrets: KubeObject[], image: string) => pullCredentials(secrets, image).map((auth) => `${auth.username}:${auth.password}`);

describe('pullCredentials', () => {
  it('takes user and password, or the encoded pair', () => {
    const secrets = [
      secret({ 'registry.example:5000': { username: 'u', password: 'p' } }),
      secret({ 'registry.example:5000': { auth: Buffer.from('a:b:c').toString('base64') } }),
    ];
    expect(users(secrets, 'registry.example:5000/team/app:1')).toEqual(['u:p', 'a:b:c']);
    expect(users(secrets, 'registry.example/team/app')).toEqual([]);
  });

  it('prefers the longer path and understands patterns and Docker Hub', () => {
    const secrets = [
      secret({
        '*.example.com': { username: 'any' },
        'r.example.com/team': { username: 'team' },
        'https://index.docker.io/v1/': { username: 'hub' },
      }),
    ];
    expect(users(secrets, 'r.example.com/team/app')).toEqual(['team:', 'any:']);
    expect(users(secrets, 'r.example.com/teams/app')).toEqual(['any:']);
    expect(users(secrets, 'busybox')).toEqual(['hub:']);
  });

  it('reads the old format and survives nonsense', () => {
    const old: KubeObject = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'o' },
      type: 'kubernetes.io/dockercfg',
      data: { '.dockercfg': Buffer.from(JSON.stringify({ 'r.io': { username: 'x', password: 'y' } })).toString('base64') },
    };
    const broken: KubeObject = { ...old, data: { '.dockercfg': 'bm90IGpzb24=' } };
    expect(users([broken, old], 'r.io/a')).toEqual(['x:y']);
  });
});

describe('splitImage', () => {
  it.each([
    ['busybox', 'docker.io', 'busybox'],
    ['team/app:1.2', 'docker.io', 'team/app'],
    ['localhost/app', 'localhost', 'app'],
    ['r.io:5000/a/b@sha256:00', 'r.io:5000', 'a/b'],
  ])('%s', (image, host, path) => {
    expect(splitImage(image)).toEqual({ host, path });
  });
});

describe('isValidReference', () => {
  it.each(['busybox', 'busybox:1.36', 'r.io:5000/a/b_c-d:v1', `a@sha256:${'0'.repeat(64)}`])('accepts %s', (image) => {
    expect(isValidReference(image)).toBe(true);
  });
  it.each(['', 'Busybox', 'a b', 'a:', 'a/', ':tag', 'a//b'])('refuses %j', (image) => {
    expect(isValidReference(image)).toBe(false);
  });
});
