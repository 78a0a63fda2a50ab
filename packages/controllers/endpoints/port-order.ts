/**
 * The order of the ports in a subset of Endpoints. Kubernetes orders them by a hash of what Go prints of each, which means nothing but is
 * always the same, so that a client which compares sees no difference.
 */
import { createHash } from 'node:crypto';
import type { BackendPort } from './service-backends.ts';

export function portOrder(a: BackendPort, b: BackendPort): number {
  return Buffer.compare(hash(a), hash(b));
}

function hash({ name, port, protocol, appProtocol }: BackendPort): Buffer {
  const printed =
    `(v1.EndpointPort){Name:(string)${name} Port:(int32)${port} Protocol:(v1.Protocol)${protocol} ` +
    `AppProtocol:(*string)${appProtocol ?? '<nil>'}}`;
  return createHash('md5').update(printed).digest();
}
