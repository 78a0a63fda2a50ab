import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StatusError } from '../errors/status-error.ts';
import type { KubeObject } from '../meta/object.ts';
import { applyJsonPatch, decodeJsonPatch } from './json-patch.ts';
import { applyMergePatch } from './merge-patch.ts';

function configMap(data: Record<string, unknown>, more: Record<string, unknown> = {}): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data, ...more };
}

function failure(run: () => unknown): { code: number; message: string } {
  try {
    run();
  } catch (error) {
    if (error instanceof StatusError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('nothing was thrown');
}

const REJECTED = { code: 422, message: 'the server rejected our request due to an error in our request' };

describe('applyMergePatch', () => {
  it('adds, replaces and removes members', () => {
    const original = configMap({ one: '1', two: '2' });
    expect(applyMergePatch(original, { data: { two: null, three: '3' } })).toEqual(configMap({ one: '1', three: '3' }));
    expect(original).toEqual(configMap({ one: '1', two: '2' }));
  });

  it('replaces lists and scalars as a whole, without nulls in new objects', () => {
    const original = configMap({}, { list: [1, 2], text: 'x' });
    expect(applyMergePatch(original, { list: [{ a: null, b: 1 }, null], text: { c: null }, fresh: { d: { e: null } } })).toEqual(
      configMap({}, { list: [{ b: 1 }, null], text: {}, fresh: { d: {} } }),
    );
  });

  it('keeps members that look like parts of a prototype', () => {
    const patch: unknown = JSON.parse('{"data":{"__proto__":"p","constructor":"c"}}');
    expect(JSON.stringify(applyMergePatch(configMap({}), patch).data)).toBe('{"__proto__":"p","constructor":"c"}');
  });

  it('refuses what is not an object', () => {
    expect(failure(() => applyMergePatch(configMap({}), []))).toEqual({
      code: 400,
      message: 'error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}',
    });
    expect(failure(() => applyMergePatch(configMap({}), null))).toEqual({ code: 400, message: 'Invalid JSON Patch' });
  });

  it('reaches the patch when nothing but objects and scalars are involved (property)', () => {
    const json = fc.dictionary(
      fc.constantFrom('a', 'b', 'c'),
      fc.oneof(fc.string(), fc.dictionary(fc.constantFrom('x', 'y'), fc.string())),
    );
    fc.assert(
      fc.property(json, json, (data, patch) => {
        const once = applyMergePatch(configMap(data), { data: patch });
        expect(applyMergePatch(once, { data: patch })).toEqual(once);
      }),
      { numRuns: 100 },
    );
  });
});

describe('decodeJsonPatch', () => {
  it.each([
    [{ op: 'x' }, 'error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp'],
    [['x'], 'error decoding patch: json: cannot unmarshal string into Go value of type handlers.jsonPatchOp'],
    [[{ op: 5 }], 'error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string'],
  ])('refuses %j', (patch, message) => {
    expect(failure(() => decodeJsonPatch(patch))).toEqual({ code: 400, message });
  });

  it('reports unknown members for strict validation', () => {
    expect(
      decodeJsonPatch([
        { op: 'test', path: '/a', value: 1 },
        { op: 'add', path: '/b', why: 'x' },
      ]).strictErrors,
    ).toEqual(['json patch unknown field "[1].why"']);
  });

  it('accepts ten thousand operations and not one more', () => {
    const step = { op: 'test', path: '/kind', value: 'ConfigMap' };
    expect(decodeJsonPatch(Array(10_000).fill(step)).operations).toHaveLength(10_000);
    expect(failure(() => decodeJsonPatch(Array(10_001).fill(step)))).toEqual({
      code: 413,
      message: 'The allowed maximum operations in a JSON patch is 10000, got 10001',
    });
  });
});

describe('applyJsonPatch', () => {
  function patched(original: KubeObject, ...operations: unknown[]): KubeObject {
    return applyJsonPatch(original, decodeJsonPatch(operations));
  }

  it('adds, removes, replaces, moves, copies and tests', () => {
    const original = configMap({ one: '1', two: '2' });
    expect(
      patched(
        original,
        { op: 'test', path: '/data/one', value: '1' },
        { op: 'add', path: '/data/three', value: '3' },
        { op: 'remove', path: '/data/one' },
        { op: 'replace', path: '/data/two', value: 'II' },
        { op: 'move', from: '/data/two', path: '/data/moved' },
        { op: 'copy', from: '/data/moved', path: '/data/a~1b~0c' },
      ).data,
    ).toEqual({ three: '3', moved: 'II', 'a/b~c': 'II' });
    expect(original.data).toEqual({ one: '1', two: '2' });
  });

  it('works on lists, also from the end', () => {
    const original = configMap({}, { list: ['a', 'b'] });
    const at = (path: string, op = 'add'): unknown => patched(original, { op, path, value: 'n' }).list;
    expect(at('/list/-')).toEqual(['a', 'b', 'n']);
    expect(at('/list/0')).toEqual(['n', 'a', 'b']);
    expect(at('/list/-1')).toEqual(['a', 'b', 'n']);
    expect(at('/list/-1', 'replace')).toEqual(['a', 'n']);
    expect(at('/list/-2', 'remove')).toEqual(['b']);
  });

  it('adds a missing member with replace, and null with copy', () => {
    expect(patched(configMap({}), { op: 'replace', path: '/data/x', value: '1' }).data).toEqual({ x: '1' });
    expect(patched(configMap({}), { op: 'copy', from: '/data/x', path: '/data/y' }).data).toEqual({ y: null });
  });

  it.each([
    [{ op: 'test', path: '/data/two', value: 'nope' }],
    [{ op: 'remove', path: '/data/nothing' }],
    [{ op: 'explode', path: '/data' }],
    [{ op: 'add', path: '/nothing/x', value: 1 }],
    [{ op: 'add', path: '', value: 1 }],
    [{ op: 'add', value: 1 }],
    [{ op: 'add', path: '/list/9', value: 1 }],
    [{ op: 'add', path: '/list/x', value: 1 }],
    [{ op: 'replace', path: '/list/2', value: 1 }],
    [{ op: 'move', from: '/data/nothing', path: '/data/x' }],
    [{ op: 'replace', path: '', value: 'text' }],
    [{ op: 'remove', path: '/data/constructor' }],
    [null],
  ])('rejects %j', (operation) => {
    expect(failure(() => patched(configMap({ two: '2' }, { list: [0, 1] }), operation))).toEqual(REJECTED);
  });

  it('does not reach a prototype', () => {
    const result = patched(configMap({}), { op: 'add', path: '/data/__proto__', value: 'p' });
    expect(JSON.stringify(result.data)).toBe('{"__proto__":"p"}');
    expect(failure(() => patched(configMap({}), { op: 'add', path: '/constructor/prototype/x', value: 1 }))).toEqual(REJECTED);
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  });

  it('stops a patch that copies an object into itself again and again', () => {
    const steps = Array.from({ length: 40 }, (_, i) => ({ op: 'copy', from: '/data', path: `/data/k${i}` }));
    expect(failure(() => patched(configMap({ seed: 'x'.repeat(100) }), ...steps))).toEqual(REJECTED);
  });
});
