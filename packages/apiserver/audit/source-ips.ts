import { isIP } from 'node:net';
import type { HttpRequest } from '@coffer/base/http/handler';
import { headerValues } from '../request/header-values.ts';

/**
 * The addresses a request came through, the client's first: `X-Forwarded-For` and `X-Real-Ip` as they were claimed, the peer of the
 * connection last. Only the last one is known for sure; callers in the same process have none.
 */
export function sourceIps(request: HttpRequest): readonly string[] {
  const ips = headerValues(request, 'x-forwarded-for')
    .flatMap((value) => value.split(','))
    .map((ip) => ip.trim())
    .filter((ip) => isIP(ip) !== 0);
  const real = headerValues(request, 'x-real-ip')[0]?.trim() ?? '';
  if (isIP(real) !== 0 && !ips.includes(real)) ips.push(real);
  const address = request.peer.address.replace(/^::ffff:(?=\d+\.)/, '');
  if (isIP(address) !== 0 && ips.at(-1) !== address) ips.push(address);
  return ips;
}
