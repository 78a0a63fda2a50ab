import { isRecord } from '@coffer/api/meta/safe-object';

/** Terminal sizes from their JSON messages; what is not one is left out. */
export async function* sizes(messages: AsyncIterable<Uint8Array>): AsyncGenerator<{ readonly width: number; readonly height: number }> {
  for await (const message of messages) {
    const size = parseSize(Buffer.from(message).toString('utf8'));
    if (size !== undefined) yield size;
  }
}

function parseSize(text: string): { readonly width: number; readonly height: number } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(value)) return undefined;
  const { Width: width, Height: height } = value;
  return typeof width === 'number' && typeof height === 'number' && width > 0 && height > 0 ? { width, height } : undefined;
}
