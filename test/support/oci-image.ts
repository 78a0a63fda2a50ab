/** Small container images made by the tests themselves: a tar file in OCI layout that `ctr images import` takes. */
import { createHash } from 'node:crypto';

/** One entry of a file system layer. */
export type LayerEntry =
  | { readonly path: string; readonly kind: 'directory'; readonly mode: number }
  | { readonly path: string; readonly kind: 'file'; readonly mode: number; readonly content: Buffer }
  | { readonly path: string; readonly kind: 'link'; readonly target: string };

export interface ImageConfig {
  /** Complete reference, e.g. `docker.io/library/busybox:test`. */
  readonly reference: string;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly env?: readonly string[];
  readonly user?: string;
}

/** The image as one tar file. */
export function ociImage(config: ImageConfig, entries: readonly LayerEntry[]): Buffer {
  const { layer, image, manifest } = ociBlobs(config, entries);
  const index = json({
    schemaVersion: 2,
    manifests: [
      {
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        ...describe(manifest),
        annotations: {
          'io.containerd.image.name': config.reference,
          'org.opencontainers.image.ref.name': config.reference.split(':').at(-1) ?? 'latest',
        },
      },
    ],
  });
  const blob = (content: Buffer): LayerEntry => ({ path: `blobs/sha256/${digest(content)}`, kind: 'file', mode: 0o644, content });
  return tar([
    { path: 'blobs', kind: 'directory', mode: 0o755 },
    { path: 'blobs/sha256', kind: 'directory', mode: 0o755 },
    blob(layer),
    blob(image),
    blob(manifest),
    { path: 'index.json', kind: 'file', mode: 0o644, content: index },
    { path: 'oci-layout', kind: 'file', mode: 0o644, content: json({ imageLayoutVersion: '1.0.0' }) },
  ]);
}

/** The three blobs of an image, as a registry stores them. */
export function ociBlobs(config: ImageConfig, entries: readonly LayerEntry[]): { layer: Buffer; image: Buffer; manifest: Buffer } {
  const layer = tar(entries);
  const image = json({
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    os: 'linux',
    config: { Entrypoint: config.entrypoint, Cmd: config.command, Env: config.env ?? ['PATH=/usr/bin:/bin'], User: config.user },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest(layer)}`] },
  });
  const manifest = json({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...describe(image) },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...describe(layer) }],
  });
  return { layer, image, manifest };
}

/** SHA-256 in hexadecimal digits. */
export function digest(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

function describe(content: Buffer): { digest: string; size: number } {
  return { digest: `sha256:${digest(content)}`, size: content.length };
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function tar(entries: readonly LayerEntry[]): Buffer {
  const blocks: Buffer[] = [];
  for (const entry of entries) {
    const content = entry.kind === 'file' ? entry.content : Buffer.alloc(0);
    const header = Buffer.alloc(512);
    header.write(entry.kind === 'directory' ? `${entry.path}/` : entry.path, 0, 100);
    header.write(`${(entry.kind === 'link' ? 0o777 : entry.mode).toString(8).padStart(7, '0')}\0`, 100);
    header.write('0000000\0', 108);
    header.write('0000000\0', 116);
    header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124);
    header.write('00000000000\0', 136);
    header.write('        ', 148);
    header.write({ directory: '5', file: '0', link: '2' }[entry.kind], 156);
    if (entry.kind === 'link') header.write(entry.target, 157, 100);
    header.write('ustar\x0000', 257, 'latin1');
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    blocks.push(header, content, Buffer.alloc((512 - (content.length % 512)) % 512));
  }
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}
