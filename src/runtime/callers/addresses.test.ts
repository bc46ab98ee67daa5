import { expect, it } from 'vitest';
import { withinOf } from './addresses.ts';

it.each([
  ['10.0.0.0/8', '10.255.0.1', true],
  ['10.0.0.0/8', '11.0.0.1', false],
  ['10.0.0.0/8', '::ffff:10.0.0.1', true],
  ['192.168.1.7', '192.168.1.7', true],
  ['192.168.1.7', '192.168.1.8', false],
  ['0.0.0.0/0', '8.8.8.8', true],
  ['0.0.0.0/0', '2001:db8::1', false],
  ['fd00::/8', 'fd12::1', true],
  ['10.0.0.0/8', '2002:a00:1::1', false],
  ['10.0.0.0/8', '::10.0.0.1', false],
  ['fe80::/10', 'fe80::1%eth0', true],
  ['::1', '::1', true],
  ['10.0.0.0/8', 'unknown', false],
])('%s has %s: %s', (network, address, expected) => {
  expect(withinOf([network])(address)).toBe(expected);
});

it('an address that is not known is in no network', () => {
  expect(withinOf(['0.0.0.0/0', '::/0'])(undefined)).toBe(false);
});

it.each(['10.0.0.0/33', '10.0.0/8', 'host', '10.0.0.0/8/8', '10.0.0.0/', '::1/129', '10.0.0.0/-1'])(
  '%s is no network',
  (network) => {
    expect(() => withinOf([network])).toThrow(RangeError);
  },
);
