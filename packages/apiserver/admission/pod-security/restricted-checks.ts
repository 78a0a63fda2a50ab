import { procMount } from './baseline-checks.ts';
import {
  allContainers,
  containersText,
  isInUserNamespace,
  type PodCheck,
  type PodToCheck,
  plural,
  quoteAll,
  sortedOnce,
  unless,
  type VersionedCheck,
} from './check.ts';
import { seccompRequired } from './profile-checks.ts';

/** The level restricted: what hardened pods must say of themselves, on top of baseline. */

const allowedVolumes: ReadonlySet<string> = new Set([
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'image',
  'persistentVolumeClaim',
  'projected',
  'secret',
]);
/** The other types with a name; what is added to the API later is `unknown` until it is judged. */
const knownVolumes: ReadonlySet<string> = new Set([
  'hostPath',
  'gcePersistentDisk',
  'awsElasticBlockStore',
  'gitRepo',
  'nfs',
  'iscsi',
  'glusterfs',
  'rbd',
  'flexVolume',
  'cinder',
  'cephfs',
  'flocker',
  'fc',
  'azureFile',
  'vsphereVolume',
  'quobyte',
  'azureDisk',
  'photonPersistentDisk',
  'portworxVolume',
  'scaleIO',
  'storageos',
]);

const isWindows = ({ spec }: PodToCheck) => spec.os?.name === 'windows';

const allowPrivilegeEscalation: PodCheck = ({ spec }) => {
  const bad = allContainers(spec).filter(({ securityContext }) => securityContext?.allowPrivilegeEscalation !== false);
  if (bad.length === 0) return undefined;
  return {
    reason: 'allowPrivilegeEscalation != false',
    detail: `${containersText(bad.map(({ name }) => name))} must set securityContext.allowPrivilegeEscalation=false`,
  };
};

const capabilities: PodCheck = ({ spec }) => {
  const keeping: string[] = [];
  const adding: string[] = [];
  const added: string[] = [];
  for (const { name, securityContext } of allContainers(spec)) {
    const { add = [], drop = [] } = securityContext?.capabilities ?? {};
    if (!drop.includes('ALL')) keeping.push(name);
    const forbidden = add.filter((capability) => capability !== 'NET_BIND_SERVICE');
    if (forbidden.length === 0) continue;
    adding.push(name);
    added.push(...forbidden);
  }
  const details = [
    ...(keeping.length > 0 ? [`${containersText(keeping)} must set securityContext.capabilities.drop=["ALL"]`] : []),
    ...(adding.length > 0
      ? [`${containersText(adding)} must not include ${quoteAll(sortedOnce(added))} in securityContext.capabilities.add`]
      : []),
  ];
  return details.length === 0 ? undefined : { reason: 'unrestricted capabilities', detail: details.join('; ') };
};

const volumes: PodCheck = ({ spec }) => {
  const bad: string[] = [];
  const types: string[] = [];
  for (const volume of spec.volumes ?? []) {
    const sources = Object.keys(volume).filter((key) => key !== 'name');
    if (sources.some((source) => allowedVolumes.has(source))) continue;
    bad.push(volume.name);
    types.push(sources.find((source) => knownVolumes.has(source)) ?? 'unknown');
  }
  if (bad.length === 0) return undefined;
  const once = sortedOnce(types);
  const what = plural('restricted volume type', once.length);
  return {
    reason: 'restricted volume types',
    detail: `${plural('volume', bad.length)} ${quoteAll(bad)} ${bad.length === 1 ? 'uses' : 'use'} ${what} ${quoteAll(once)}`,
  };
};

const runAsNonRoot: PodCheck = ({ spec }) => {
  const ofPod = spec.securityContext?.runAsNonRoot;
  const containers = allContainers(spec);
  const saysRoot = containers.filter(({ securityContext }) => securityContext?.runAsNonRoot === false);
  const setters = [...(ofPod === false ? ['pod'] : []), ...(saysRoot.length > 0 ? [containersText(saysRoot.map(({ name }) => name))] : [])];
  const reason = 'runAsNonRoot != true';
  if (setters.length > 0) return { reason, detail: `${setters.join(' and ')} must not set securityContext.runAsNonRoot=false` };
  if (ofPod === true) return undefined;
  const silent = containers.filter(({ securityContext }) => securityContext?.runAsNonRoot === undefined);
  if (silent.length === 0) return undefined;
  return { reason, detail: `pod or ${containersText(silent.map(({ name }) => name))} must set securityContext.runAsNonRoot=true` };
};

const runAsUser: PodCheck = ({ spec }) => {
  const root = allContainers(spec).filter(({ securityContext }) => securityContext?.runAsUser === 0);
  const setters = [
    ...(spec.securityContext?.runAsUser === 0 ? ['pod'] : []),
    ...(root.length > 0 ? [containersText(root.map(({ name }) => name))] : []),
  ];
  return setters.length === 0 ? undefined : { reason: 'runAsUser=0', detail: `${setters.join(' and ')} must not set runAsUser=0` };
};

/** Sorted by id: the order of their violations in messages, behind those of baseline. */
export const restrictedChecks: readonly VersionedCheck[] = [
  {
    id: 'allowPrivilegeEscalation',
    variants: [
      { sinceMinor: 8, check: allowPrivilegeEscalation },
      { sinceMinor: 25, check: unless(isWindows, allowPrivilegeEscalation) },
    ],
  },
  {
    id: 'capabilities_restricted',
    variants: [
      { sinceMinor: 22, check: capabilities, replaces: ['capabilities_baseline'] },
      { sinceMinor: 25, check: unless(isWindows, capabilities), replaces: ['capabilities_baseline'] },
    ],
  },
  { id: 'procMount_restricted', variants: [{ sinceMinor: 35, check: procMount, replaces: ['procMount'] }] },
  { id: 'restrictedVolumes', variants: [{ sinceMinor: 0, check: volumes, replaces: ['hostPathVolumes'] }] },
  {
    id: 'runAsNonRoot',
    variants: [
      { sinceMinor: 0, check: runAsNonRoot },
      { sinceMinor: 35, check: unless(isInUserNamespace, runAsNonRoot) },
    ],
  },
  {
    id: 'runAsUser',
    variants: [
      { sinceMinor: 23, check: runAsUser },
      { sinceMinor: 35, check: unless(isInUserNamespace, runAsUser) },
    ],
  },
  {
    id: 'seccompProfile_restricted',
    variants: [
      { sinceMinor: 19, check: seccompRequired, replaces: ['seccompProfile_baseline'] },
      { sinceMinor: 25, check: unless(isWindows, seccompRequired), replaces: ['seccompProfile_baseline'] },
    ],
  },
];
