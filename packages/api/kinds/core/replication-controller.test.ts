import { describe, expect, it } from 'vitest';
import { cellsOf, createProblems, updateProblems, written } from '../testing/written-object.ts';
import { replicationController } from './replication-controller.ts';

const template = { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'i' }] } };

describe('ReplicationController', () => {
  it('selects by the labels of its template, and carries them, where it says nothing', () => {
    const object = written(replicationController, { spec: { template } });
    expect(object.spec).toMatchObject({ replicas: 1, selector: { app: 'web' }, template: { spec: { restartPolicy: 'Always' } } });
    expect(object.metadata.labels).toEqual({ app: 'web' });
    const own = written(replicationController, { metadata: { labels: { own: 'yes' } }, spec: { selector: { app: 'web' }, template } });
    expect(own.metadata.labels).toEqual({ own: 'yes' });
  });

  it('wants a selector that fits the template', () => {
    expect(createProblems(replicationController, { spec: {} })).toEqual(['spec.selector: Required value', 'spec.template: Required value']);
    expect(createProblems(replicationController, { spec: { replicas: -1, selector: { app: 'db' }, template } })).toEqual([
      'spec.replicas: Invalid value: -1: must be greater than or equal to 0',
      'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`',
    ]);
    const once = { ...template, spec: { ...template.spec, restartPolicy: 'Never' } };
    expect(createProblems(replicationController, { spec: { template: once } })).toEqual([
      'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
    ]);
  });

  it('may change its selector together with the template', () => {
    const other = { ...template, metadata: { labels: { app: 'db' } } };
    expect(updateProblems(replicationController, { spec: { selector: { app: 'db' }, template: other } }, { spec: { template } })).toEqual(
      [],
    );
  });

  it('is shown with its selector', () => {
    const cells = cellsOf(replicationController, { spec: { template, replicas: 3 }, status: { replicas: 2, readyReplicas: 1 } }, 0);
    expect(cells).toMatchObject({ Desired: 3, Current: 2, Ready: 1, Containers: 'c', Images: 'i', Selector: 'app=web' });
  });
});
