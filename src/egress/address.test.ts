import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clientNetworkOf, contains, kindOf, networkOf, plainAddress } from './address.ts';

const kind = (address: string) => kindOf(plainAddress(address));

describe('the kind of an address', () => {
  it.each([
    ['127.0.0.1', 'loopback'],
    ['127.255.0.9', 'loopback'],
    ['::1', 'loopback'],
    ['0.0.0.0', 'unspecified'],
    ['::', 'unspecified'],
    ['169.254.169.254', 'link-local'],
    ['fe80::1', 'link-local'],
    ['fe80::1%eth0', 'link-local'],
    ['224.0.0.1', 'multicast'],
    ['ff02::1', 'multicast'],
    ['255.255.255.255', 'reserved'],
    ['fd00:ec2::254', 'instance metadata'],
    ['100.100.100.200', 'instance metadata'],
    ['10.43.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['192.168.1.1', 'private'],
    ['100.64.0.1', 'private'],
    ['fd12::1', 'private'],
    ['172.32.0.1', 'public'],
    ['11.0.0.1', 'public'],
    ['2606:4700::1111', 'public'],
  ])('%s is %s', (address, is) => {
    expect(kind(address)).toBe(is);
  });

  it.each([
    ['mapped', '::ffff:127.0.0.1'],
    ['mapped, in hexadecimal', '::ffff:7f00:1'],
    ['mapped, in full', '0:0:0:0:0:ffff:7f00:0001'],
    ['compatible', '::127.0.0.1'],
    ['translated', '64:ff9b::7f00:1'],
    ['6to4', '2002:7f00:1::'],
  ])('is that of the IPv4 address within an IPv6 address that is %s', (_, address) => {
    expect(kind(address)).toBe('loopback');
    expect(kind(address.replace('127.0.0.1', '10.1.2.3').replace(/7f00:0*1/, '0a01:203'))).toBe('private');
  });

  it('is the same for every IPv4 address, written as such or within an IPv6 address', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        expect(plainAddress(`::ffff:${address}`)).toBe(address);
        expect(kind(`64:ff9b::${address}`)).toBe(kind(address));
      }),
    );
  });

  it('is known for every IPv6 address', () => {
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        expect(kind(address)).not.toBe('');
      }),
    );
  });
});

describe('a network', () => {
  it('has the addresses of its prefix', () => {
    const network = networkOf('10.96.0.0/12') ?? expect.fail('it is one');
    expect(['10.96.0.1', '10.111.255.255', '10.112.0.0'].map((each) => contains(network, each))).toEqual([
      true,
      true,
      false,
    ]);
  });

  it.each(['', '10.0.0.0/33', '10.0.0.0/x', '10.0.0.0/8/8', 'host', 'fd00::/129', '1.2.3', '10.0.0.0/'])(
    'is not %j',
    (text) => {
      expect(networkOf(text)).toBeUndefined();
    },
  );
});

it.each([
  ['10.0.0.1', '10.0.0.1'],
  ['::ffff:10.0.0.1', '10.0.0.1'],
  ['2001:db8:1:2::3', '2001:db8:1:2'],
  ['2001:db8:1:2:ffff::', '2001:db8:1:2'],
  ['fe80::1%eth0', 'fe80:0:0:0'],
])('who has %s chooses its address in %s', (address, network) => {
  expect(clientNetworkOf(address)).toBe(network);
});
