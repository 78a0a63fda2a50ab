/** Scale as `kubectl get --subresource=scale` shows it. The kind has no storage of its own: it is a view of what it scales. */
import type { V1Scale } from '../../generated/types.ts';
import { viewAs } from '../define-kind.ts';
import { timeSince } from '../human-duration.ts';
import type { TableDefinition } from '../kind.ts';
import { ageColumn, fieldColumn, nameColumn } from '../table-columns.ts';

export const scaleTable: TableDefinition = {
  columns: [
    { ...nameColumn, format: '' },
    fieldColumn('Desired', 'io.k8s.api.autoscaling.v1.ScaleSpec', 'replicas', 'integer'),
    fieldColumn('Available', 'io.k8s.api.autoscaling.v1.ScaleStatus', 'replicas', 'integer'),
    ageColumn,
  ],
  cells(object, now) {
    const { metadata, spec, status } = viewAs<V1Scale>(object);
    return [metadata?.name ?? '', spec?.replicas ?? 0, status?.replicas ?? 0, timeSince(metadata?.creationTimestamp, now)];
  },
};
