import { describe, expect, it } from 'vitest';
import { endpointSlice } from '../discovery/endpoint-slice.ts';
import type { Fields } from '../testing/written-object.ts';
import { cellsOf, createProblems, updateProblems, written } from '../testing/written-object.ts';
import { endpoints } from './endpoints.ts';

const subset = { addresses: [{ ip: '10.0.0.1' }, { ip: '10.0.0.2' }], ports: [{ port: 80 }] };

describe('Endpoints', () => {
  it('may be empty, and warn', () => {
    expect(createProblems(endpoints, {})).toEqual([]);
    expect(endpoints.deprecation).toBe('v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice');
    const odd = { subsets: [{ addresses: [{ ip: '10.0.0.1' }], notReadyAddresses: [{ ip: 'FD00::1' }] }] };
    expect(endpoints.warnings(written(endpoints, odd), undefined)).toEqual([
      'subsets[0].notReadyAddresses[0].ip: IPv6 address "FD00::1" should be in RFC 5952 canonical format ("fd00::1")',
    ]);
  });

  it('speak TCP unless told otherwise', () => {
    expect(written(endpoints, { subsets: [subset] }).subsets).toEqual([{ ...subset, ports: [{ port: 80, protocol: 'TCP' }] }]);
  });

  it.each<[Fields, string[]]>([
    [{}, ['subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`']],
    [
      { addresses: [{ ip: 'x' }] },
      ['subsets[0].addresses[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'],
    ],
    [
      { ...subset, ports: [{ port: 80 }, { port: 0, name: 'b' }] },
      ['subsets[0].ports[0].name: Required value', 'subsets[0].ports[1].port: Invalid value: 0: must be between 1 and 65535, inclusive'],
    ],
    [
      { notReadyAddresses: [{ ip: '169.254.1.1' }] },
      ['subsets[0].notReadyAddresses[0].ip: Invalid value: "169.254.1.1": may not be in the link-local range (169.254.0.0/16, fe80::/10)'],
    ],
  ])('check %j', (fields, want) => {
    const problems = createProblems(endpoints, { subsets: [fields] });
    expect(problems.filter((problem) => want.includes(problem))).toEqual(want);
    expect(problems.every((problem) => problem.startsWith('subsets[0]'))).toBe(true);
  });

  it('are shown up to the third address', () => {
    expect(cellsOf(endpoints, {}, 0).Endpoints).toBe('<none>');
    expect(cellsOf(endpoints, { subsets: [subset] }, 0).Endpoints).toBe('10.0.0.1:80,10.0.0.2:80');
    const many = { ...subset, ports: [{ port: 80 }, { port: 81 }] };
    expect(cellsOf(endpoints, { subsets: [many] }, 0).Endpoints).toBe('10.0.0.1:80,10.0.0.2:80,10.0.0.1:81 + 1 more...');
  });
});

const slice = (fields: Fields): Fields => ({
  addressType: 'IPv4',
  endpoints: [{ addresses: ['10.0.0.1'] }],
  ports: [{ port: 80 }],
  ...fields,
});

describe('EndpointSlice', () => {
  it('names ports and speaks TCP unless told otherwise', () => {
    expect(written(endpointSlice, slice({})).ports).toEqual([{ name: '', protocol: 'TCP', port: 80 }]);
    expect(createProblems(endpointSlice, slice({}))).toEqual([]);
  });

  it.each<[Fields, string[]]>([
    [{ addressType: '' }, ['addressType: Required value']],
    [{ addressType: 'DNS' }, ['addressType: Unsupported value: "DNS": supported values: "FQDN", "IPv4", "IPv6"']],
    [{ endpoints: [{}] }, ['endpoints[0].addresses: Required value: must contain at least 1 address']],
    [{ ports: [{}, {}] }, ['ports[1].name: Duplicate value: ""']],
    [{ ports: [{ name: 'a', protocol: 'XYZ' }] }, ['ports[0].protocol: Unsupported value: "XYZ": supported values: "SCTP", "TCP", "UDP"']],
    [{ addressType: 'FQDN', endpoints: [{ addresses: ['a.b.'] }] }, []],
    [
      { addressType: 'FQDN', endpoints: [{ addresses: ['a'] }] },
      ['endpoints[0].addresses[0]: Invalid value: "a": should be a domain with at least two segments separated by dots'],
    ],
    [
      { endpoints: [{ addresses: ['fd00::1', '127.0.0.1', 'x'] }] },
      [
        'endpoints[0].addresses[0]: Invalid value: "fd00::1": must be an IPv4 address',
        'endpoints[0].addresses[1]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
        'endpoints[0].addresses[2]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
      ],
    ],
    [
      { endpoints: [{ addresses: ['10.0.0.1'], hints: { forZones: [{ name: 'a' }, { name: 'a' }], forNodes: [{ name: 'n' }] } }] },
      ['endpoints[0].hints.forZones[1].name: Duplicate value: "a"'],
    ],
    [
      { endpoints: [{ addresses: ['10.0.0.1'], hints: { forNodes: Array.from({ length: 9 }, (_, i) => ({ name: `n${i}` })) } }] },
      ['endpoints[0].hints.forNodes: Too many: 9: must have at most 8 items'],
    ],
  ])('checks %j', (fields, want) => {
    expect(createProblems(endpointSlice, slice(fields))).toEqual(want);
  });

  it('does not take labels of endpoints', () => {
    const endpoint = { addresses: ['10.0.0.1'], deprecatedTopology: { 'kubernetes.io/hostname': 'n' } };
    expect(written(endpointSlice, slice({ endpoints: [endpoint] })).endpoints).toEqual([{ addresses: ['10.0.0.1'], conditions: {} }]);
  });

  it('warns about names and odd addresses', () => {
    const warn = (fields: Fields, old?: Fields): string[] =>
      endpointSlice.warnings(written(endpointSlice, slice(fields)), old === undefined ? undefined : written(endpointSlice, slice(old)));
    const names = { addressType: 'FQDN', endpoints: [{ addresses: ['a.b'] }] };
    expect(warn(names)).toEqual(['spec.addressType: FQDN endpoints are deprecated']);
    expect(warn(names, names)).toEqual([]);
    const odd = { addressType: 'IPv6', endpoints: [{ addresses: ['fd00:0::1'] }] };
    expect(warn(odd, odd)).toEqual([
      'endpoints[0].addresses[0]: IPv6 address "fd00:0::1" should be in RFC 5952 canonical format ("fd00::1")',
    ]);
  });

  it('keeps its type of address', () => {
    expect(updateProblems(endpointSlice, slice({ addressType: 'IPv6', endpoints: [] }), slice({}))).toEqual([
      'addressType: Invalid value: "IPv6": field is immutable',
    ]);
  });

  it('is shown with its addresses and ports', () => {
    const fields = slice({ endpoints: [{ addresses: ['10.0.0.1'] }, { addresses: ['10.0.0.2'] }], ports: [{ port: 80 }, { name: 'all' }] });
    expect(cellsOf(endpointSlice, fields, 0)).toEqual({
      Name: 'x',
      AddressType: 'IPv4',
      Ports: '80,all',
      Endpoints: '10.0.0.1,10.0.0.2',
      Age: '<unknown>',
    });
    expect(cellsOf(endpointSlice, slice({ endpoints: [], ports: [] }), 0)).toMatchObject({ Ports: '<unset>', Endpoints: '<unset>' });
  });
});
