import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { certifiedName, servingNames } from './serving-names.ts';

const runtime = { account: 'adaptlet-runtime', namespace: 'adaptlet-system', node: 'edge-1' };
const operator = ['adaptlet-operator.adaptlet-system.svc', 'adaptlet-operator.adaptlet-system', '192.0.2.1'];
const none = { addresses: [], more: [], operator };
const addresses = (...all: string[]) => all.map((address) => ({ type: 'InternalIP', address }));

describe('the names of the request ports of a runtime', () => {
  it('are those of its Service, of an administrator, and of its Node', () => {
    const options = {
      addresses: addresses('10.0.0.7', 'fd00::7', 'edge-1.lan'),
      more: ['llm.example'],
      operator,
    };
    expect(servingNames(runtime, options)).toEqual([
      'adaptlet-runtime.adaptlet-system.svc',
      'adaptlet-runtime.adaptlet-system.svc.cluster.local',
      'adaptlet-runtime.adaptlet-system',
      'llm.example',
      'edge-1',
      '10.0.0.7',
      'fd00::7',
      'edge-1.lan',
    ]);
  });

  it.each([
    [
      'a Node that is called like the operator',
      { ...runtime, node: 'adaptlet-operator.adaptlet-system.svc' },
      none,
    ],
    [
      'an address of the operator as IPv6 has it',
      runtime,
      { ...none, addresses: addresses('::ffff:192.0.2.1', '::ffff:c000:201') },
    ],
    ['an address of the operator', runtime, { ...none, addresses: addresses('192.0.2.1') }],
    [
      'a host name in capitals',
      runtime,
      { ...none, addresses: addresses('ADAPTLET-operator.adaptlet-system.SVC') },
    ],
    ['a ServiceAccount that is called like the operator', { ...runtime, account: 'adaptlet-operator' }, none],
    ['a name of the administrator', runtime, { ...none, more: ['adaptlet-operator.adaptlet-system'] }],
  ])('are none of the operator, by %s', (_, of, options) => {
    const names = servingNames(of, options);
    expect(names.filter((name) => operator.includes(name.replace('::ffff:', '').toLowerCase()))).toEqual([]);
    expect(names.length).toBeGreaterThan(0);
  });

  it.each([
    ['*.ops.example', 'op.ops.example'],
    ['*.OPS.example', 'a.b.ops.example'],
    ['::ffff:10.0.0.5', '10.0.0.5'],
  ])('are none for which %s of the operator stands: %s', (own, name) => {
    const options = { addresses: addresses(name, 'ops.example'), more: [name], operator: [...operator, own] };
    expect(servingNames(runtime, options).slice(3)).toEqual(['edge-1', 'ops.example']);
  });

  it.each([
    'localhost',
    'x.localhost',
    '127.0.0.1',
    '127.9.9.9',
    '::1',
    '0:0:0:0:0:0:0:1',
    '::ffff:127.0.0.1',
    '::FFFF:7f00:1',
    '::ffff:10.0.0.5',
    '0:0:0:0:0:ffff:a00:5',
    'fe80::1%eth0',
    '0.0.0.0',
    '::',
    '*',
    '*.example',
    'a b',
  ])('are none that means any machine, or no name at all: %s', (name) => {
    expect(certifiedName(name)).toBeUndefined();
    expect(servingNames(runtime, { ...none, addresses: addresses(name) })).toEqual(
      servingNames(runtime, none),
    );
  });

  it('are in one form, once', () => {
    const options = {
      ...none,
      addresses: addresses('FD00:0::7', 'fd00::7', 'Edge-1'),
      more: ['fd00:0:0::7'],
    };
    expect(servingNames(runtime, options).slice(3)).toEqual(['fd00::7', 'edge-1']);
  });

  it('are a bounded number of names that a certificate can have, whatever a Node says', () => {
    const told = fc.array(fc.oneof(fc.string(), fc.ipV4(), fc.ipV6(), fc.domain()), { maxLength: 200 });
    fc.assert(
      fc.property(told, (all) => {
        const names = servingNames(runtime, { ...none, addresses: addresses(...all) });
        expect(names.length).toBeLessThanOrEqual(64);
        for (const name of names) expect(certifiedName(name)).toBe(name);
      }),
    );
  });
});
