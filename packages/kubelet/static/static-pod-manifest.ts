/** Reads the manifest of a static pod. Pure. Static pods may not refer to API objects: nobody authorised this node to read them. */

import { createHash } from 'node:crypto';
import { parseYaml } from '@coffer/api/codec/yaml-reader';
import { formatFieldError } from '@coffer/api/errors/field-error';
import { builtInKind } from '@coffer/api/kinds/index';
import type { KubeObject } from '@coffer/api/meta/object';
import { isRecord } from '@coffer/api/meta/safe-object';
import { podReferences } from '@coffer/api/node/pod-references';
import { type Pod, podFromObject } from '../types.ts';

const mirrorAnnotation = 'kubernetes.io/config.mirror';
const hashAnnotation = 'kubernetes.io/config.hash';
const sourceAnnotation = 'kubernetes.io/config.source';

/** The pod of a manifest file. Its UID follows from node, file and content, so a changed manifest is another pod. Throws what is wrong. */
export function staticPodFromManifest(text: string, path: string, nodeName: string): Pod {
  const { value } = parseYaml(text);
  if (!isRecord(value) || value.kind !== 'Pod' || value.apiVersion !== 'v1') throw new Error('not a v1 Pod');
  const metadata = isRecord(value.metadata) ? value.metadata : {};
  const spec = isRecord(value.spec) ? value.spec : {};
  if (typeof metadata.name !== 'string' || metadata.name === '') throw new Error('metadata.name: Required value');
  const uid = createHash('md5').update(`host:${nodeName}file:${path}`).update(text).digest('hex');
  const annotations = isRecord(metadata.annotations) ? metadata.annotations : {};
  const object: KubeObject = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...metadata,
      name: `${metadata.name}-${nodeName}`,
      namespace: typeof metadata.namespace === 'string' && metadata.namespace !== '' ? metadata.namespace : 'default',
      uid,
      annotations: { ...(annotations as Record<string, string>), [hashAnnotation]: uid, [sourceAnnotation]: 'file' },
    },
    spec: { ...spec, nodeName },
    status: { phase: 'Pending' },
  };
  const kind = builtInKind('', 'pods');
  kind?.applyDefaults(object);
  const errors = kind?.validate(object) ?? [];
  if (errors.length > 0) throw new Error(errors.map(formatFieldError).join(', '));
  const pod = podFromObject(object);
  const references = podReferences(pod);
  if (references.configMaps.size > 0) throw new Error('static pods may not reference configmaps');
  if (references.secrets.size > 0) throw new Error('static pods may not reference secrets');
  if (pod.spec.serviceAccountName !== undefined && pod.spec.serviceAccountName !== '')
    throw new Error('static pods may not reference serviceaccounts');
  return pod;
}

/** Whether this is the pod of a manifest file. Its UID is its hash, which nobody can give to a pod of the API. */
export function isStaticPod({ metadata }: Pod): boolean {
  return metadata.annotations?.[hashAnnotation] === metadata.uid;
}

/** What the API is shown of a static pod. */
export function mirrorOf(pod: Pod, node: { readonly name: string; readonly uid: string | undefined }): KubeObject {
  const { uid: hash, resourceVersion: _none, ...metadata } = pod.metadata;
  const owner =
    node.uid === undefined
      ? {}
      : { ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: node.name, uid: node.uid, controller: true }] };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...metadata, ...owner, annotations: { ...metadata.annotations, [mirrorAnnotation]: hash } },
    spec: pod.spec,
  };
}

/** The hash in a mirror pod's annotation, which is the UID of the static pod it shows; undefined for ordinary pods. */
export function mirrorHash(pod: Pod): string | undefined {
  return pod.metadata.annotations?.[mirrorAnnotation];
}
