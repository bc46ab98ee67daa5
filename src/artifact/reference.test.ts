import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { codeOf } from '../errors/code-of.fixture.ts';
import { safeName } from './file-name.ts';
import { apiHostOf, isPlainHttp, parseReference } from './reference.ts';
import { parseChallenges } from './registry-auth.ts';

const digest = `sha256:${'a'.repeat(64)}`;

describe('an image reference', () => {
  it.each([
    [
      'r.example/team/sql:v2',
      { registry: 'r.example', repository: 'team/sql', tag: 'v2', digest: undefined },
    ],
    [
      'r.example:5000/sql',
      { registry: 'r.example:5000', repository: 'sql', tag: 'latest', digest: undefined },
    ],
    ['localhost/sql:v1', { registry: 'localhost', repository: 'sql', tag: 'v1', digest: undefined }],
    [
      `127.0.0.1:5000/a/b@${digest}`,
      { registry: '127.0.0.1:5000', repository: 'a/b', tag: undefined, digest },
    ],
    [`[::1]:5000/a:v1@${digest}`, { registry: '[::1]:5000', repository: 'a', tag: 'v1', digest }],
  ])('%s is taken apart', (image, expected) => {
    expect(parseReference(image)).toEqual(expected);
  });

  it.each([
    'sql:v1',
    'team/sql',
    'https://r.example/a',
    'r.example/A:v1',
    'r.example/a@sha256:12',
    'r.example/../a',
    '',
  ])('%s is refused', async (image) => {
    expect(await codeOf(() => parseReference(image))).toBe('ARTIFACT_REFERENCE_INVALID');
  });

  it('never becomes a URL of another host or path', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (host, path) => {
        try {
          const { registry, repository } = parseReference(`${host}/${path}`);
          const url = new URL(`https://${registry}/v2/${repository}/manifests/x`);
          expect(url.pathname).toBe(`/v2/${repository}/manifests/x`);
          expect(url.username).toBe('');
        } catch (error) {
          expect(error).toHaveProperty('code', 'ARTIFACT_REFERENCE_INVALID');
        }
      }),
    );
  });
});

it('speaks without encryption to this machine and to listed hosts only', () => {
  const listed = ['plain.example', 'other.example:5000'];
  const plain = [
    'localhost',
    'localhost:5000',
    '127.0.0.1:5000',
    '[::1]:5000',
    'plain.example:80',
    'other.example:5000',
  ];
  const secure = ['r.example', 'other.example', '127.example', 'localhost.example:5000', '10.0.0.1:5000'];
  expect(plain.filter((host) => !isPlainHttp(host, listed))).toEqual([]);
  expect(secure.filter((host) => isPlainHttp(host, listed))).toEqual([]);
});

describe('a WWW-Authenticate header', () => {
  it.each<[string, readonly (readonly [string, Readonly<Record<string, string>>])[]]>([
    ['Basic realm="r"', [['basic', { realm: 'r' }]]],
    [
      'Bearer realm="https://t/x",service="s",scope="repository:a:pull,push"',
      [['bearer', { realm: 'https://t/x', service: 's', scope: 'repository:a:pull,push' }]],
    ],
    [
      'Basic realm="a, b=\\"c\\"", BEARER Realm=x',
      [
        ['basic', { realm: 'a, b="c"' }],
        ['bearer', { realm: 'x' }],
      ],
    ],
    [
      'Negotiate, Basic realm="r"',
      [
        ['negotiate', {}],
        ['basic', { realm: 'r' }],
      ],
    ],
    ['', []],
    ['"', []],
  ])('%s', (header, expected) => {
    expect(parseChallenges(header).map((c) => [c.scheme, Object.fromEntries(c.parameters)])).toEqual(
      expected,
    );
  });

  it('may be anything', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 300 }), (header) => parseChallenges(header).length <= header.length),
    );
  });
});

describe('the name of a file', () => {
  it('is a path below its folder, or refused', async () => {
    expect(safeName('./a/b.json', 'x')).toBe('a/b.json');
    for (const name of [
      '',
      '.',
      '..',
      '../a',
      'a/..',
      '/a',
      'a//b',
      'a\0b',
      'C:/a',
      'a\\b',
      'a\nb',
      'x'.repeat(300),
      // Files that disks do not take, or under another name.
      '€'.repeat(100),
      `a/${'ü'.repeat(128)}`,
      'a\ud800',
    ]) {
      expect(await codeOf(() => safeName(name, 'x')), name).toBe('ARTIFACT_FILE_REFUSED');
    }
  });
});

it.each(['registry.example:99999/a/b:c', '999.1.1.1/a', '1.2.3.4.5:80/a', '[::1::]/a'])(
  'a reference whose registry is no host is refused: %s',
  async (image) => {
    expect(await codeOf(() => parseReference(image))).toBe('ARTIFACT_REFERENCE_INVALID');
  },
);

describe('the host that is asked', () => {
  it.each([
    ['docker.io', 'registry-1.docker.io'],
    ['index.docker.io', 'registry-1.docker.io'],
    ['registry.example:5000', 'registry.example:5000'],
  ])('for %s is %s', (registry, host) => {
    expect(apiHostOf(registry)).toBe(host);
  });
});
