import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { bind, podConfig, shellContainer } from '../runtime/contract-fixtures.ts';
import { containerMessage, containerStatus, podSandboxMessage, podSandboxStatus, runtimeEvent } from './cri-messages.ts';
import { criProto } from './cri-proto.ts';
import { pullError } from './pull-errors.ts';

const root = protobuf.parse(criProto, { keepCase: false }).root;

function encoded(type: string, message: object): string {
  const found = root.lookupType(`runtime.v1.${type}`);
  return Buffer.from(found.encode(found.fromObject(message)).finish()).toString('hex');
}

describe('CRI messages', () => {
  it('carry a variable byte for byte: field 6 of the container, value in field 2', () => {
    const config = { env: [['A.b', Buffer.from([0xff, 0x0a])]] as const };
    const message = containerMessage(shellContainer('i', '', { ...config, command: [], name: '' }), podConfig('/logs'));
    // 32: field 6, length delimited; 0a: key; 12: value.
    expect(encoded('ContainerConfig', { envs: (message as { envs: object[] }).envs })).toBe('32090a03412e621202ff0a');
  });

  it('tell which namespaces are shared', () => {
    const options = (overrides: Parameters<typeof podConfig>[1]) =>
      (podSandboxMessage(podConfig('/logs', overrides)) as { linux: { securityContext: { namespaceOptions: object } } }).linux
        .securityContext.namespaceOptions;
    expect(options({})).toEqual({ network: 'POD', pid: 'CONTAINER', ipc: 'POD' });
    expect(options({ shareProcessNamespace: true })).toEqual({ network: 'POD', pid: 'POD', ipc: 'POD' });
    expect(options({ hostNetwork: true, hostPid: true, hostIpc: true })).toEqual({ network: 'NODE', pid: 'NODE', ipc: 'NODE' });
  });

  it('name the container whose processes are shared', () => {
    const message = containerMessage(shellContainer('i', '', { targetContainerId: 'abc' }), podConfig('/logs')) as {
      linux: { securityContext: { namespaceOptions: object } };
    };
    expect(message.linux.securityContext.namespaceOptions).toEqual({ network: 'POD', pid: 'TARGET', ipc: 'POD', targetId: 'abc' });
  });

  it('leave out a user that was not asked for, and carry user 0', () => {
    const security = (overrides: Parameters<typeof shellContainer>[2]) =>
      (containerMessage(shellContainer('i', '', overrides), podConfig('/logs')) as { linux: { securityContext: object } }).linux
        .securityContext;
    expect(security({})).not.toHaveProperty('runAsUser');
    expect(security({ security: { runAsUser: 0 } })).toMatchObject({ runAsUser: { value: 0 } });
  });

  it('carry mounts with their propagation, and whether what is below is read-only', () => {
    const message = containerMessage(
      shellContainer('i', '', {
        mounts: [
          { ...bind('/h', '/c', true), propagation: 'bidirectional' },
          { ...bind('/h', '/d', true), recursiveReadOnly: true },
        ],
      }),
      podConfig('/logs'),
    );
    expect((message as { mounts: object[] }).mounts).toEqual([
      { hostPath: '/h', containerPath: '/c', readonly: true, recursiveReadOnly: false, propagation: 'PROPAGATION_BIDIRECTIONAL' },
      { hostPath: '/h', containerPath: '/d', readonly: true, recursiveReadOnly: true, propagation: 'PROPAGATION_PRIVATE' },
    ]);
  });

  it('become statuses: nanoseconds to milliseconds, zero to not known', () => {
    const status = containerStatus(
      {
        id: 'c',
        metadata: { name: 'main', attempt: 2 },
        state: 'CONTAINER_EXITED',
        createdAt: '1700000000123456789',
        startedAt: '0',
        finishedAt: '1700000001999999999',
        exitCode: 128,
        reason: 'StartError',
        message: 'no',
        image: { image: 'busybox' },
        imageRef: 'sha256:1',
      },
      's',
      {},
    );
    expect(status).toMatchObject({
      state: 'exited',
      createdAtMs: 1_700_000_000_123,
      startedAtMs: undefined,
      finishedAtMs: 1_700_000_001_999,
      exitCode: 128,
    });
  });

  it('become sandboxes with all addresses', () => {
    const message = {
      id: 's',
      metadata: { name: 'p' },
      state: 'SANDBOX_READY',
      createdAt: '1',
      network: { ip: '10.0.0.1', additionalIps: [{ ip: 'fd00::1' }] },
    };
    expect(podSandboxStatus(message)).toMatchObject({ state: 'ready', ips: ['10.0.0.1', 'fd00::1'] });
    expect(podSandboxStatus({ ...message, network: null, state: 'SANDBOX_NOTREADY' })).toMatchObject({ state: 'not-ready', ips: [] });
  });

  it('become events', () => {
    const message = {
      containerId: 'c',
      containerEventType: 'CONTAINER_STOPPED_EVENT',
      podSandboxStatus: { id: 's', metadata: { uid: 'u' } },
    };
    expect(runtimeEvent(message)).toEqual({ containerId: 'c', sandboxId: 's', podUid: 'u', type: 'stopped' });
  });
});

describe('pullError', () => {
  it('names the reason', () => {
    expect(pullError('x', new Error('pull access denied'))).toMatchObject({ reason: 'ErrImagePull', message: 'pull access denied' });
    expect(pullError('x', new Error('RegistryUnavailable: down')).reason).toBe('RegistryUnavailable');
  });
});
