/** Which version of which object went into a mounted file set or a started container. Names and versions only, never data. */
import type { KubeObject } from '@coffer/api/meta/object';

export interface SourceRecord {
  readonly kind: 'ConfigMap' | 'Secret';
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
}

export function recordOf(kind: SourceRecord['kind'], object: KubeObject): SourceRecord {
  return {
    kind,
    namespace: object.metadata.namespace ?? '',
    name: object.metadata.name ?? '',
    uid: object.metadata.uid ?? '',
    resourceVersion: object.metadata.resourceVersion ?? '',
  };
}

/** Where env and volumes get objects from. Throws StatusError NotFound, or why it cannot be known now. */
export interface ObjectSource {
  configMap(name: string): Promise<KubeObject>;
  secret(name: string): Promise<KubeObject>;
}
