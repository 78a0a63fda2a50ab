import type { AdmissionAttributes, AdmissionPlugin } from './plugin.ts';

/** Told how long one step took. */
export type AdmissionStep = (operation: AdmissionAttributes['operation'], rejected: boolean, seconds: number) => void;

/** Where the durations of admission go. */
export interface AdmissionObserver {
  /** All plugins of a type together. */
  readonly step: (type: 'admit' | 'validate') => AdmissionStep;
  readonly plugin: (name: string, type: 'admit' | 'validate') => AdmissionStep;
}

interface Stage {
  readonly plugins: readonly { readonly run: (attributes: AdmissionAttributes) => void | Promise<void>; readonly took: AdmissionStep }[];
  readonly took: AdmissionStep;
}

const nobody: AdmissionObserver = { step: () => () => {}, plugin: () => () => {} };

/**
 * All admission plugins in their order: every `admit` before validation of the object, every `validate` after it. The first refusal
 * ends the chain. The order is upstream's; it matters where one plugin reads what an earlier one set.
 */
export class AdmissionChain {
  readonly #mutating: Stage;
  readonly #validating: Stage;

  constructor(plugins: readonly AdmissionPlugin[], observer: AdmissionObserver = nobody) {
    const stage = (type: 'admit' | 'validate'): Stage => ({
      plugins: plugins.flatMap((plugin) => {
        const run = plugin[type]?.bind(plugin);
        return run === undefined ? [] : [{ run, took: observer.plugin(plugin.name, type) }];
      }),
      took: observer.step(type),
    });
    this.#mutating = stage('admit');
    this.#validating = stage('validate');
  }

  admit(attributes: AdmissionAttributes): Promise<void> {
    return runStage(this.#mutating, attributes);
  }

  validate(attributes: AdmissionAttributes): Promise<void> {
    return runStage(this.#validating, attributes);
  }
}

async function runStage(stage: Stage, attributes: AdmissionAttributes): Promise<void> {
  const { operation } = attributes;
  const startedMs = performance.now();
  let sinceMs = startedMs;
  let rejected = true;
  try {
    for (const { run, took } of stage.plugins) {
      let refused = true;
      try {
        const pending = run(attributes);
        if (pending !== undefined) await pending;
        refused = false;
      } finally {
        const nowMs = performance.now();
        took(operation, refused, (nowMs - sinceMs) / 1000);
        sinceMs = nowMs;
      }
    }
    rejected = false;
  } finally {
    stage.took(operation, rejected, (performance.now() - startedMs) / 1000);
  }
}
