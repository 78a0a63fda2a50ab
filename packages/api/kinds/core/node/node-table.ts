/** What `kubectl get nodes` prints. */

import type { V1Node, V1NodeSystemInfo } from '../../../generated/types.ts';
import { getOwn } from '../../../meta/safe-object.ts';
import { viewAs } from '../../define-kind.ts';
import { timeSince } from '../../human-duration.ts';
import type { TableDefinition } from '../../kind.ts';
import { ageColumn, column, fieldColumn, nameColumn } from '../../table-columns.ts';

const nodeStatus = 'io.k8s.api.core.v1.NodeStatus';
const systemInfo = 'io.k8s.api.core.v1.NodeSystemInfo';
const rolePrefix = 'node-role.kubernetes.io/';

export const nodeTable: TableDefinition = {
  columns: [
    nameColumn,
    column('Status', 'The status of the node'),
    column('Roles', 'The roles of the node'),
    ageColumn,
    fieldColumn('Version', systemInfo, 'kubeletVersion'),
    fieldColumn('Internal-IP', nodeStatus, 'addresses', 'string', 1),
    fieldColumn('External-IP', nodeStatus, 'addresses', 'string', 1),
    fieldColumn('OS-Image', systemInfo, 'osImage', 'string', 1),
    fieldColumn('Kernel-Version', systemInfo, 'kernelVersion', 'string', 1),
    fieldColumn('Container-Runtime', systemInfo, 'containerRuntimeVersion', 'string', 1),
  ],
  cells(object, now) {
    const node = viewAs<V1Node>(object);
    const info = node.status?.nodeInfo;
    return [
      node.metadata?.name ?? '',
      statusText(node),
      rolesText(node),
      timeSince(node.metadata?.creationTimestamp, now),
      info?.kubeletVersion ?? '',
      addressOf(node, 'InternalIP'),
      addressOf(node, 'ExternalIP'),
      orUnknown(info?.osImage),
      kernelText(info),
      orUnknown(info?.containerRuntimeVersion),
    ];
  },
};

function statusText(node: V1Node): string {
  // Of several conditions with one type the last counts.
  const ready = (node.status?.conditions ?? []).findLast((condition) => condition.type === 'Ready');
  const text = ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady';
  return node.spec?.unschedulable === true ? `${text},SchedulingDisabled` : text;
}

function rolesText(node: V1Node): string {
  const labels = node.metadata?.labels;
  const roles = new Set<string>();
  for (const key of Object.keys(labels ?? {})) {
    if (key.startsWith(rolePrefix) && key.length > rolePrefix.length) roles.add(key.slice(rolePrefix.length));
  }
  const named = getOwn(labels, 'kubernetes.io/role') ?? '';
  if (named !== '') roles.add(named);
  return roles.size === 0 ? '<none>' : [...roles].sort().join(',');
}

function addressOf(node: V1Node, type: string): string {
  return (node.status?.addresses ?? []).find((address) => address.type === type)?.address ?? '<none>';
}

/** The kernel and what it was built for. */
function kernelText(info: V1NodeSystemInfo | undefined): string {
  const version = orUnknown(info?.kernelVersion);
  const architecture = info?.architecture ?? '';
  return architecture === '' ? version : `${version} (${architecture})`;
}

function orUnknown(text: string | undefined): string {
  return text === undefined || text === '' ? '<unknown>' : text;
}
