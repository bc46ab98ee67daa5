import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { isEgressEntry, isNetwork } from './allow-list.ts';
import { EgressPolicy, type EgressRules } from './policy.ts';

/** Why a request is denied; '' when it is not. */
const denial = (url: string, address: string, rules: Partial<EgressRules> = {}): string => {
  const policy = new EgressPolicy({ allow: [], deny: [], apiServer: [], ...rules });
  try {
    policy.check(new URL(url), address);
    return '';
  } catch (error) {
    expect(error).toMatchObject({ code: 'EGRESS_DENIED' });
    return error instanceof AdaptletError ? error.what : 'not ours';
  }
};
const prometheus = 'http://prometheus.monitoring.svc:9090';

describe('requests of tenants', () => {
  it('may lead to public addresses over TLS', () => {
    expect(denial('https://registry.example', '203.0.113.7')).toBe('');
    expect(denial('http://registry.example', '203.0.113.7')).toMatch(/without encryption/);
  });

  it('do not lead to private addresses, unless the host is listed', () => {
    expect(denial(prometheus, '10.43.7.7')).toBe('prometheus.monitoring.svc:9090 leads to a private address');
    for (const allow of [['prometheus.monitoring.svc'], ['*.svc:9090'], ['10.43.0.0/16'], ['10.43.7.7:9090']])
      expect(denial(prometheus, '10.43.7.7', { allow }), allow.join()).toBe('');
    for (const allow of [['grafana.monitoring.svc'], ['10.44.0.0/16'], ['10.43.7.7:80'], ['*.svc:80']])
      expect(denial(prometheus, '10.43.7.7', { allow }), allow.join()).not.toBe('');
  });

  it.each([
    '127.0.0.1',
    '::1',
    '169.254.169.254',
    'fe80::1',
    '224.0.0.1',
    '0.0.0.0',
    '::ffff:127.0.0.1',
    'fd00:ec2::254',
  ])('lead to %s by its address alone, whatever host has it', (address) => {
    expect(denial('https://evil.example', address)).not.toBe('');
    expect(denial('https://evil.example', address, { allow: ['evil.example', '10.0.0.0/8'] })).not.toBe('');
    const [allow] = [
      ['127.0.0.0/8', '::1', '169.254.0.0/16', 'fe80::/10', '224.0.0.1', '0.0.0.0', 'fd00:ec2::254'],
    ];
    expect(denial('https://evil.example', address, { allow })).toBe('');
  });

  it('never lead to what is denied, nor to the API server, which is one port of its address', () => {
    const allow = ['10.0.0.0/8', '*.svc'];
    expect(denial('https://a.svc', '10.1.2.3', { allow, deny: ['10.1.0.0/16'] })).toMatch(
      /network that is denied/,
    );
    const apiServer = ['10.43.0.1:443'];
    expect(denial('https://a.svc', '10.43.0.1', { allow, apiServer })).toMatch(/is the API server/);
    expect(denial('https://a.svc', '::ffff:10.43.0.1', { allow, apiServer })).toMatch(/is the API server/);
    expect(denial('https://a.svc:5000', '10.43.0.1', { allow, apiServer })).toBe('');
  });

  it('are denied without a word of the address', () => {
    expect(denial('https://evil.example', '10.43.7.7')).not.toContain('10.43');
  });
});

describe('what may be listed', () => {
  it.each([
    'prometheus',
    'a.b:9090',
    '*.svc',
    '10.0.0.0/8',
    '192.0.2.7:5000',
    'fd00::/8',
    '[fd00::7]:5000',
    '::1',
  ])('is %s', (text) => {
    expect(isEgressEntry(text)).toBe(true);
  });
  it.each(['', 'http://a', 'a/b', '10.0.0.0/99', '*'])('is not %j', (text) => {
    expect(isEgressEntry(text)).toBe(false);
  });
  it('is an address or a network where it is denied', () => {
    expect(['10.0.0.0/8', '::1', 'host', '10.0.0.1:80'].map(isNetwork)).toEqual([true, true, false, false]);
  });
});
