/** Paths inside one volume that hide each other: two keys in one file, or a file where another key needs a directory. */

import type * as api from '../../../generated/types.ts';

interface SourcedPath {
  readonly path: string;
  /** Which source of a projected volume the path comes from; empty in other volumes. */
  readonly source: string;
}

/** Texts like `volume "v" (ConfigMap "c"): overlapping paths: "a/b" with "a"`. Only paths that the spec names can be checked. */
export function overlappingPathWarnings(volumes: readonly api.V1Volume[]): string[] {
  return volumes.flatMap((volume) => {
    const warnings: string[] = [];
    const warn = (what: string, paths: readonly SourcedPath[]): void => {
      for (const overlap of overlaps(paths)) {
        warnings.push(`volume ${JSON.stringify(volume.name)} (${what}): overlapping paths: ${overlap}`);
      }
    };
    const { configMap, secret, downwardAPI, projected } = volume;
    if (configMap != null) warn(`ConfigMap ${JSON.stringify(configMap.name ?? '')}`, pathsOf(configMap.items, ''));
    if (secret != null) warn(`Secret ${JSON.stringify(secret.secretName ?? '')}`, pathsOf(secret.items, ''));
    if (downwardAPI != null) warn('DownwardAPI', pathsOf(downwardAPI.items, ''));
    if (projected != null) {
      const sources = projected.sources ?? [];
      for (const source of sources) {
        if (Object.values(source).every((part) => part == null)) {
          warnings.push(`volume ${JSON.stringify(volume.name)} (Projected) has no sources provided`);
        }
      }
      warn('Projected', sources.flatMap(projectedPaths));
    }
    return warnings;
  });
}

function projectedPaths(source: api.V1VolumeProjection): SourcedPath[] {
  const { configMap, secret, downwardAPI, serviceAccountToken, clusterTrustBundle, podCertificate } = source;
  if (configMap?.items != null) return pathsOf(configMap.items, `ConfigMap ${JSON.stringify(configMap.name ?? '')}`);
  if (secret?.items != null) return pathsOf(secret.items, `Secret ${JSON.stringify(secret.name ?? '')}`);
  if (downwardAPI?.items != null) return pathsOf(downwardAPI.items, 'DownwardAPI');
  if (serviceAccountToken != null) return pathsOf([serviceAccountToken], 'ServiceAccountToken');
  if (clusterTrustBundle != null) {
    const name = clusterTrustBundle.name ?? clusterTrustBundle.signerName ?? '';
    return pathsOf([clusterTrustBundle], `ClusterTrustBundle ${JSON.stringify(name)}`);
  }
  if (podCertificate == null) return [];
  const { certificateChainPath, keyPath, credentialBundlePath } = podCertificate;
  return [
    ...pathsOf([{ path: certificateChainPath }], 'PodCertificate chain'),
    ...pathsOf([{ path: keyPath }], 'PodCertificate key'),
    ...pathsOf([{ path: credentialBundlePath }], 'PodCertificate credential bundle'),
  ];
}

function pathsOf(items: readonly { readonly path?: string | undefined }[] | undefined, source: string): SourcedPath[] {
  return (items ?? []).map(({ path = '' }) => ({ path: path.replace(/\/+$/, ''), source })).filter(({ path }) => path !== '');
}

/** Every pair that overlaps, the later path first. */
function overlaps(paths: readonly SourcedPath[]): string[] {
  return paths.flatMap((later, i) =>
    paths
      .slice(0, i)
      .filter((earlier) => contains(earlier.path, later.path) || contains(later.path, earlier.path))
      .map((earlier) => `${describe(later)} with ${describe(earlier)}`),
  );
}

function contains(outer: string, inner: string): boolean {
  return `${inner}/`.startsWith(`${outer}/`);
}

function describe({ path, source }: SourcedPath): string {
  return source === '' ? JSON.stringify(path) : `${JSON.stringify(path)} (${source})`;
}
