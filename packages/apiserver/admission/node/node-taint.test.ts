import { describe, expect, it } from 'vitest';
import { openTestApi } from '../../testing/test-api.ts';

describe('TaintNodesByCondition', () => {
  it('taints new nodes once, and owns nothing of them', async () => {
    const api = await openTestApi();
    const taint = { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' };
    const { json } = await api.request('POST', '/api/v1/nodes', {
      metadata: { name: 'a' },
      spec: { taints: [{ key: 'x', effect: 'NoExecute' }] },
    });
    expect(json.spec.taints).toEqual([{ key: 'x', effect: 'NoExecute' }, taint]);
    expect(json.metadata.managedFields[0].fieldsV1).toEqual({ 'f:spec': { 'f:taints': {} } });
    expect((await api.request('POST', '/api/v1/nodes', { metadata: { name: 'b' }, spec: { taints: [taint] } })).json.spec.taints).toEqual([
      taint,
    ]);
    // Whoever takes it away has taken it away.
    const merge = { contentType: 'application/merge-patch+json' };
    const freed = await api.request('PATCH', '/api/v1/nodes/b', { spec: { taints: null } }, merge);
    expect(freed.json.spec.taints).toBeUndefined();
    await api.close();
  });
});
