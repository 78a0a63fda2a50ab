import path from 'node:path';

/** Where things lie below the data directory. Keys are beside the store, never in it. */
export interface DataPaths {
  readonly root: string;
  readonly store: string;
  readonly keys: string;
  readonly kubelet: string;
  readonly runtime: string;
  readonly kubeconfig: string;
  readonly pidFile: string;
  /** The encryption keys of a server that was given none. */
  readonly encryptionConfiguration: string;
  readonly encryptionUsage: string;
  readonly encryptionRotation: string;
}

export function dataPaths(dataDir: string): DataPaths {
  const root = path.resolve(dataDir);
  return {
    root,
    store: path.join(root, 'db'),
    keys: path.join(root, 'pki'),
    kubelet: path.join(root, 'kubelet'),
    runtime: path.join(root, 'runtime'),
    kubeconfig: path.join(root, 'kubeconfig'),
    encryptionConfiguration: path.join(root, 'pki', 'encryption-config.yaml'),
    encryptionUsage: path.join(root, 'pki', 'encryption-usage.json'),
    encryptionRotation: path.join(root, 'pki', 'encryption-rotation.json'),
    pidFile: path.join(root, 'coffer.pid'),
  };
}

/** Where a node keeps what the cluster has certified for it. */
export function nodeCertificates(paths: DataPaths): string {
  return path.join(paths.keys, 'kubelet');
}
