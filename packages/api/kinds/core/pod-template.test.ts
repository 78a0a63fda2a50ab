import { describe, expect, it } from 'vitest';
import type { Fields } from '../testing/written-object.ts';
import { cellsOf, createProblems, updateProblems, written } from '../testing/written-object.ts';
import { podTemplate } from './pod-template.ts';

const template = {
  metadata: { labels: { b: '2', a: '1' } },
  spec: {
    containers: [
      { name: 'c', image: 'i' },
      { name: 'd', image: 'j' },
    ],
  },
};

describe('PodTemplate', () => {
  it('gets the defaults of a pod and is checked as one', () => {
    const { spec } = written(podTemplate, { template }).template as Fields;
    expect(spec).toMatchObject({ restartPolicy: 'Always', containers: [{ imagePullPolicy: 'Always' }, { name: 'd' }] });
    expect(createProblems(podTemplate, { template })).toEqual([]);
    expect(createProblems(podTemplate, {})).toEqual(['template.spec.containers: Required value']);
    expect(createProblems(podTemplate, { template: { ...template, metadata: { labels: { a: '-' } } } })[0]).toContain(
      'template.labels: Invalid value: "-"',
    );
  });

  it('is checked once as a whole when it changes, its metadata only for changes', () => {
    const changed = { metadata: { labels: { a: '-' } }, template: { spec: { containers: [] } } };
    const problems = updateProblems(podTemplate, changed, { template });
    expect(problems.filter((text) => text.startsWith('metadata.labels'))).toHaveLength(3);
    expect(problems.filter((text) => text.startsWith('template'))).toEqual(['template.spec.containers: Required value']);
  });

  it('warns about a template that is new or has changed', () => {
    const old = written(podTemplate, { template });
    const doubtful = written(podTemplate, { template: { ...template, spec: { ...template.spec, terminationGracePeriodSeconds: -1 } } });
    const text = 'template.spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1';
    expect(podTemplate.warnings(doubtful, undefined)).toEqual([text]);
    expect(podTemplate.warnings(doubtful, old)).toEqual([text]);
    expect(podTemplate.warnings(doubtful, doubtful)).toEqual([]);
  });

  it('shows containers, images and labels', () => {
    expect(cellsOf(podTemplate, { template }, 0)).toEqual({ Name: 'x', Containers: 'c,d', Images: 'i,j', 'Pod Labels': 'a=1,b=2' });
    expect(cellsOf(podTemplate, {}, 0)).toMatchObject({ Containers: '', Images: '', 'Pod Labels': '<none>' });
  });
});
