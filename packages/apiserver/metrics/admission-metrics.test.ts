import { builtInCatalog } from '@coffer/api/catalog/catalog';
import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { AdmissionChain } from '../admission/chain.ts';
import type { AdmissionAttributes } from '../admission/plugin.ts';
import { WarningList } from '../request/context.ts';
import { createAdmissionMetrics } from './admission-metrics.ts';

it('counts every step and plugin that ran, refusals apart', async () => {
  const registry = new Registry();
  const chain = new AdmissionChain(
    [
      { name: 'First', admit: async () => {}, validate: () => {} },
      {
        name: 'Second',
        admit({ operation }) {
          if (operation === 'DELETE') throw new Error('no');
        },
      },
      { name: 'Third', admit: () => {} },
    ],
    createAdmissionMetrics(registry),
  );
  const [resource] = builtInCatalog().resources;
  if (resource === undefined) throw new Error('no resources');
  const attributes = (operation: AdmissionAttributes['operation']): AdmissionAttributes => ({
    operation,
    resource,
    subresource: '',
    namespace: '',
    name: '',
    object: undefined,
    oldObject: undefined,
    user: { name: '', groups: [] },
    dryRun: false,
    warnings: new WarningList(),
    auditAnnotations: new Map(),
  });
  await chain.admit(attributes('CREATE'));
  await chain.validate(attributes('CREATE'));
  await expect(chain.admit(attributes('DELETE'))).rejects.toThrow('no');

  const text = await registry.metrics();
  const counts = text.split('\n').filter((line) => /_count\{/.test(line));
  const controller = 'apiserver_admission_controller_admission_duration_seconds_count';
  const step = 'apiserver_admission_step_admission_duration_seconds_count';
  expect(counts.sort()).toEqual(
    [
      `${step}{type="admit",operation="CREATE",rejected="false"} 1`,
      `${step}{type="validate",operation="CREATE",rejected="false"} 1`,
      `${step}{type="admit",operation="DELETE",rejected="true"} 1`,
      `${controller}{name="First",type="admit",operation="CREATE",rejected="false"} 1`,
      `${controller}{name="First",type="admit",operation="DELETE",rejected="false"} 1`,
      `${controller}{name="First",type="validate",operation="CREATE",rejected="false"} 1`,
      `${controller}{name="Second",type="admit",operation="CREATE",rejected="false"} 1`,
      `${controller}{name="Second",type="admit",operation="DELETE",rejected="true"} 1`,
      `${controller}{name="Third",type="admit",operation="CREATE",rejected="false"} 1`,
    ].sort(),
  );
});
