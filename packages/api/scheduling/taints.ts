/** Taints and tolerations by the rules of the API. */
import type { V1Taint, V1Toleration } from '../generated/types.ts';

export const NOT_READY = 'node.kubernetes.io/not-ready';
export const UNREACHABLE = 'node.kubernetes.io/unreachable';
export const UNSCHEDULABLE = 'node.kubernetes.io/unschedulable';

const INTEGER = /^-?(0|[1-9][0-9]*)$/;

/** True when one toleration covers the taint. An empty key with `Exists` covers every taint, an empty effect every effect. */
export function tolerates(tolerations: readonly V1Toleration[] | undefined, taint: V1Taint): boolean {
  return (tolerations ?? []).some((toleration) => covers(toleration, taint));
}

export function covers(toleration: V1Toleration, taint: V1Taint): boolean {
  if ((toleration.effect ?? '') !== '' && toleration.effect !== taint.effect) return false;
  if ((toleration.key ?? '') !== '' && toleration.key !== taint.key) return false;
  switch (toleration.operator ?? '') {
    case '':
    case 'Equal':
      return (toleration.key ?? '') !== '' && (toleration.value ?? '') === (taint.value ?? '');
    case 'Exists':
      return true;
    case 'Lt':
      return compared(toleration, taint, (taintValue, value) => taintValue < value);
    case 'Gt':
      return compared(toleration, taint, (taintValue, value) => taintValue > value);
    default:
      return false;
  }
}

function compared(toleration: V1Toleration, taint: V1Taint, test: (taintValue: bigint, value: bigint) => boolean): boolean {
  if (!INTEGER.test(toleration.value ?? '') || !INTEGER.test(taint.value ?? '')) return false;
  return test(BigInt(taint.value ?? ''), BigInt(toleration.value ?? ''));
}
