/**
 * Thresholds and the conditions of a node that is short of something. A condition begins at once and ends only when the threshold has
 * not been met for the transition period, so that it does not flap. Pure but for what was seen before.
 */
import { parseQuantity, quantityValue } from '@coffer/api/quantity/quantity';
import type { Amount, NodeResources, Signal } from './node-resources.ts';

export type PressureCondition = 'MemoryPressure' | 'DiskPressure' | 'PIDPressure';

/** What is evicted for: the resource as messages name it. */
export type ReclaimedResource = 'memory' | 'ephemeral-storage' | 'inodes' | 'pids';

/** By signal, a quantity or a percentage of the capacity. */
export type Thresholds = Readonly<Partial<Record<Signal, string>>>;

/** The kubelet's own. */
export const defaultThresholds: Thresholds = { 'memory.available': '100Mi', 'nodefs.available': '10%', 'nodefs.inodesFree': '5%' };

interface SignalFacts {
  readonly condition: PressureCondition;
  readonly resource: ReclaimedResource;
}

/** In the order in which they are dealt with: memory first. */
const signals: Readonly<Record<Signal, SignalFacts>> = {
  'memory.available': { condition: 'MemoryPressure', resource: 'memory' },
  'nodefs.available': { condition: 'DiskPressure', resource: 'ephemeral-storage' },
  'nodefs.inodesFree': { condition: 'DiskPressure', resource: 'inodes' },
  'pid.available': { condition: 'PIDPressure', resource: 'pids' },
};

export interface MetThreshold extends SignalFacts {
  readonly signal: Signal;
  readonly thresholdValue: number;
  readonly amount: Amount;
}

/** Reads `memory.available<100Mi,nodefs.available<10%`. Throws with what is wrong. */
export function parseThresholds(text: string): Thresholds {
  const thresholds: Partial<Record<Signal, string>> = {};
  for (const part of text.split(',').filter((item) => item !== '')) {
    const [signal = '', value = '', ...rest] = part.split('<');
    if (rest.length > 0 || value === '') throw new Error(`invalid eviction threshold ${JSON.stringify(part)}: expected signal<quantity`);
    if (!isSignal(signal))
      throw new Error(`unknown eviction signal ${JSON.stringify(signal)}: expected one of ${Object.keys(signals).join(', ')}`);
    if (thresholds[signal] !== undefined) throw new Error(`duplicate eviction threshold for ${signal}`);
    if (thresholdOf(value, 100) < 0) throw new Error(`eviction threshold ${part} must be positive`);
    thresholds[signal] = value;
  }
  return thresholds;
}

/** Thresholds that are met now, in the order of urgency. */
export function metThresholds(thresholds: Thresholds, resources: NodeResources): MetThreshold[] {
  const met: MetThreshold[] = [];
  for (const [signal, facts] of Object.entries(signals)) {
    if (!isSignal(signal)) continue;
    const text = thresholds[signal];
    const amount = resources[signal];
    if (text === undefined || amount === undefined) continue;
    const thresholdValue = thresholdOf(text, amount.capacity);
    if (amount.available < thresholdValue) met.push({ ...facts, signal, thresholdValue, amount });
  }
  return met;
}

export class PressureHistory {
  readonly #transitionMs: number;
  readonly #lastMs = new Map<PressureCondition, number>();

  constructor(transitionMs: number) {
    this.#transitionMs = transitionMs;
  }

  /** Takes what was found at a time of the clock that never jumps. */
  note(met: readonly MetThreshold[], nowMs: number): void {
    for (const { condition } of met) this.#lastMs.set(condition, nowMs);
  }

  active(nowMs: number): ReadonlySet<PressureCondition> {
    return new Set([...this.#lastMs].filter(([, lastMs]) => nowMs - lastMs < this.#transitionMs).map(([condition]) => condition));
  }
}

function thresholdOf(text: string, capacity: number): number {
  const percentage = /^(\d+(?:\.\d+)?)%$/.exec(text)?.[1];
  if (percentage !== undefined) return (Number(percentage) / 100) * capacity;
  return Number(quantityValue(parseQuantity(text)));
}

function isSignal(text: string): text is Signal {
  return Object.hasOwn(signals, text);
}
