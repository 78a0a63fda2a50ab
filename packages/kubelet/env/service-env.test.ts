import { describe, expect, it } from 'vitest';
import { serviceEnv } from './service-env.ts';

const kubernetes = {
  namespace: 'default',
  name: 'kubernetes',
  clusterIp: '10.96.0.1',
  ports: [{ name: 'https', port: 443, protocol: 'TCP' }],
};
const redis = {
  namespace: 'shop',
  name: 'redis-primary',
  clusterIp: '10.96.0.9',
  ports: [
    { name: 'data', port: 6379, protocol: 'TCP' },
    { name: '', port: 53, protocol: 'UDP' },
  ],
};

describe('serviceEnv', () => {
  it('describes services of the namespace and always the API server', () => {
    expect(Object.fromEntries(serviceEnv([kubernetes, redis], 'shop', true))).toEqual({
      KUBERNETES_SERVICE_HOST: '10.96.0.1',
      KUBERNETES_SERVICE_PORT: '443',
      KUBERNETES_SERVICE_PORT_HTTPS: '443',
      KUBERNETES_PORT: 'tcp://10.96.0.1:443',
      KUBERNETES_PORT_443_TCP: 'tcp://10.96.0.1:443',
      KUBERNETES_PORT_443_TCP_PROTO: 'tcp',
      KUBERNETES_PORT_443_TCP_PORT: '443',
      KUBERNETES_PORT_443_TCP_ADDR: '10.96.0.1',
      REDIS_PRIMARY_SERVICE_HOST: '10.96.0.9',
      REDIS_PRIMARY_SERVICE_PORT: '6379',
      REDIS_PRIMARY_SERVICE_PORT_DATA: '6379',
      REDIS_PRIMARY_PORT: 'tcp://10.96.0.9:6379',
      REDIS_PRIMARY_PORT_6379_TCP: 'tcp://10.96.0.9:6379',
      REDIS_PRIMARY_PORT_6379_TCP_PROTO: 'tcp',
      REDIS_PRIMARY_PORT_6379_TCP_PORT: '6379',
      REDIS_PRIMARY_PORT_6379_TCP_ADDR: '10.96.0.9',
      REDIS_PRIMARY_PORT_53_UDP: 'udp://10.96.0.9:53',
      REDIS_PRIMARY_PORT_53_UDP_PROTO: 'udp',
      REDIS_PRIMARY_PORT_53_UDP_PORT: '53',
      REDIS_PRIMARY_PORT_53_UDP_ADDR: '10.96.0.9',
    });
  });

  it('leaves out services of others, headless ones, and all but the API server when links are off', () => {
    const headless = { ...redis, clusterIp: 'None' };
    expect(serviceEnv([headless, { ...redis, namespace: 'else' }], 'shop', true).size).toBe(0);
    expect([...serviceEnv([kubernetes, redis], 'shop', false).keys()].every((name) => name.startsWith('KUBERNETES_'))).toBe(true);
  });
});
