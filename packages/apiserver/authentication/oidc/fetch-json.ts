import { request } from 'node:https';

const timeoutMs = 10_000;
const maxBytes = 1024 * 1024;

/** GET of a JSON document over HTTPS with the given authorities (default the system's). No redirects, 1 MiB and ten seconds at most. */
export async function fetchJson(url: string, certificateAuthorityPem: string | undefined): Promise<unknown> {
  const text = await fetchText(url, certificateAuthorityPem, { accept: 'application/json' });
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${url} did not answer with JSON`, { cause: error });
  }
}

/** As `fetchJson`, a text; rejects for every other status than 200. */
export function fetchText(
  url: string,
  certificateAuthorityPem: string | undefined,
  headers: Readonly<Record<string, string>>,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      url,
      {
        headers,
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
          if (incoming.statusCode === 200) resolve(Buffer.concat(chunks).toString('utf8'));
          else reject(new Error(`${url} answered ${incoming.statusCode ?? 0}`));
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end();
  });
}
