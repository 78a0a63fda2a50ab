import { request } from 'node:https';

const timeoutMs = 10_000;
const maxBytes = 1024 * 1024;

/** GET of a JSON document over HTTPS with the given authorities (default the system's). No redirects, 1 MiB and ten seconds at most. */
export function fetchJson(url: string, certificateAuthorityPem: string | undefined): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      url,
      {
        headers: { accept: 'application/json' },
        minVersion: 'TLSv1.2',
        signal: AbortSignal.timeout(timeoutMs),
        ...(certificateAuthorityPem === undefined ? {} : { ca: certificateAuthorityPem }),
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        let size = 0;
        incoming.on('error', reject);
        incoming.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > maxBytes) incoming.destroy(new Error(`${url} answered with more than ${maxBytes} bytes`));
          else chunks.push(chunk);
        });
        incoming.on('end', () => {
          if (incoming.statusCode !== 200) {
            reject(new Error(`${url} answered ${incoming.statusCode ?? 0}`));
            return;
          }
          try {
            resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')));
          } catch (error) {
            reject(new Error(`${url} did not answer with JSON`, { cause: error }));
          }
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end();
  });
}
