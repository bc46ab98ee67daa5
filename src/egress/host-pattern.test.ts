import { describe, expect, it } from 'vitest';
import { isAllowed, isHostPattern } from './host-pattern.ts';

const allowed = (url: string, ...patterns: string[]) => isAllowed(new URL(url), patterns);

describe('the hosts that may be asked', () => {
  it('are all when none is listed', () => {
    expect(allowed('http://169.254.169.254/')).toBe(true);
  });

  it.each([
    ['http://prometheus:9090/x', 'prometheus'],
    ['http://prometheus:9090/x', 'prometheus:9090'],
    ['https://a.example/', 'a.example:443'],
    ['http://a.example/', 'a.example:80'],
    ['https://A.Example./', 'a.example'],
    ['https://x.y.example/', '*.example'],
    ['http://[::1]:9090/', '[::1]:9090'],
    ['http://127.0.0.1:1/', '127.0.0.1'],
  ])('have %s by %s', (url, pattern) => {
    expect(allowed(url, 'other.example', pattern)).toBe(true);
  });

  it.each([
    ['http://prometheus:9091/', 'prometheus:9090'],
    ['https://a.example/', 'a.example:80'],
    ['https://evil-a.example/', 'a.example'],
    ['https://a.example.evil/', 'a.example'],
    ['https://example/', '*.example'],
    ['https://evilexample/', '*.example'],
    ['http://prometheus/@a.example', 'a.example'],
    ['http://0x7f.1/', 'localhost'],
  ])('do not have %s by %s', (url, pattern) => {
    expect(allowed(url, pattern)).toBe(false);
  });

  it.each([
    ['https://a.example/', 'a.example', true],
    ['http://a.example/', 'a.example', false],
    ['http://a.example/', 'a.example:80', true],
    ['http://a.example:443/', 'a.example', false],
    ['https://a.example:8443/', 'a.example', false],
    ['https://a.example:80/', 'a.example', false],
    ['https://x.example:8443/', '*.example', false],
    ['https://x.example:8443/', '*.example:*', true],
    ['https://a.example:8443/', 'a.example:*', true],
    ['https://b.example/', 'a.example:*', false],
  ])('have %s by %s, where an entry without a port stands for HTTPS: %s', (url, pattern, is) => {
    expect(isAllowed(new URL(url), [pattern], 'Https')).toBe(is);
  });

  it.each(['a', 'a:*', 'a.b:9090', '*.monitoring.svc', '[fd00::1]', 'A.Example', '10.0.0.1:80'])(
    'can be listed as %s',
    (pattern) => {
      expect(isHostPattern(pattern)).toBe(true);
    },
  );

  it.each(['', '*', 'http://a', 'a/b', 'a.*', '*a.b', 'a:port', 'me@a'])(
    'cannot be listed as %j',
    (pattern) => {
      expect(isHostPattern(pattern)).toBe(false);
    },
  );
});
