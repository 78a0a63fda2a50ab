import type { Registry } from 'prom-client';
import type { AdmissionObserver, AdmissionStep } from '../admission/chain.ts';
import type { AdmissionAttributes } from '../admission/plugin.ts';
import { DurationHistogram, type DurationLabels, type DurationSeries } from './duration-histogram.ts';

const boundsSeconds = [0.005, 0.025, 0.1, 0.5, 1, 2.5];

/** How long admission takes, in all and by plugin, under kube-apiserver's names. Observing is a look-up and two additions. */
export function createAdmissionMetrics(registry: Registry): AdmissionObserver {
  const steps = new DurationHistogram(
    'apiserver_admission_step_admission_duration_seconds',
    '[STABLE] Admission sub-step latency histogram in seconds, broken out for each operation and API resource and step type (validate or admit).',
    boundsSeconds,
  );
  const controllers = new DurationHistogram(
    'apiserver_admission_controller_admission_duration_seconds',
    '[STABLE] Admission controller latency histogram in seconds, identified by name and broken out for each operation and API resource and type (validate or admit).',
    boundsSeconds,
  );
  steps.register(registry);
  controllers.register(registry);
  return {
    step: (type) => timer(steps, { type }),
    plugin: (name, type) => timer(controllers, { name, type }),
  };
}

function timer(histogram: DurationHistogram, labels: DurationLabels): AdmissionStep {
  const accepted = new Map<AdmissionAttributes['operation'], DurationSeries>();
  const refused = new Map<AdmissionAttributes['operation'], DurationSeries>();
  return (operation, rejected, seconds) => {
    const known = rejected ? refused : accepted;
    let series = known.get(operation);
    if (series === undefined) {
      series = histogram.series({ ...labels, operation, rejected: String(rejected) });
      known.set(operation, series);
    }
    series.observe(seconds);
  };
}
