import { describe, expect, it } from 'vitest';
import { checkFieldSelector, parseFieldSelector } from './fields.ts';

const configMap = { group: '', kind: 'ConfigMap', namespaced: true, fields: [] };
const pod = { group: '', kind: 'Pod', namespaced: true, fields: ['spec.nodeName', 'status.phase'] };

function matches(text: string, fields: Record<string, string>): boolean {
  return parseFieldSelector(text).matches((field) => fields[field] ?? '');
}

describe('parseFieldSelector', () => {
  it('matches equality and inequality', () => {
    expect(matches('', {})).toBe(true);
    expect(matches('a=1,b!=2', { a: '1' })).toBe(true);
    expect(matches('a==1,b!=2', { a: '1', b: '2' })).toBe(false);
    expect(matches('a=', {})).toBe(true);
    expect(matches(',a=1,', { a: '1' })).toBe(true);
  });

  it('understands escapes in values', () => {
    expect(matches('a=x\\,y\\=z\\\\', { a: 'x,y=z\\' })).toBe(true);
    expect(String(parseFieldSelector('b!=2,a=x\\,y'))).toBe('a=x\\,y,b!=2');
  });

  it.each([
    ['metadata.name', "invalid selector: 'metadata.name'; can't understand 'metadata.name'"],
    ['a=1,b', "invalid selector: 'a=1,b'; can't understand 'b'"],
    ['a=\\x', 'invalid field selector: invalid escape sequence: \\x'],
    ['a=b=c', 'invalid field selector: unescaped character in value: 61'],
  ])('refuses %j', (text, message) => {
    expect(() => parseFieldSelector(text)).toThrow(message);
  });

  it('tells the exact name it demands', () => {
    const selector = parseFieldSelector('metadata.name=x,metadata.namespace!=y');
    expect(selector.exact('metadata.name')).toBe('x');
    expect(selector.exact('metadata.namespace')).toBeUndefined();
  });
});

describe('checkFieldSelector', () => {
  it('accepts metadata of every kind and the fields of the kind', () => {
    expect(checkFieldSelector(parseFieldSelector('metadata.name=a,metadata.namespace=b'), configMap).requirements).toHaveLength(2);
    expect(checkFieldSelector(parseFieldSelector('status.phase=Running'), pod).exact('status.phase')).toBe('Running');
  });

  it('translates old names', () => {
    expect(checkFieldSelector(parseFieldSelector('spec.host=n'), pod).exact('spec.nodeName')).toBe('n');
  });

  it('refuses other fields in the words of the kind', () => {
    expect(() => checkFieldSelector(parseFieldSelector('spec.nope=x'), configMap)).toThrow(
      '"spec.nope" is not a known field selector: only "metadata.name", "metadata.namespace"',
    );
    expect(() => checkFieldSelector(parseFieldSelector('spec.nope=x'), pod)).toThrow('field label not supported: spec.nope');
  });
});
