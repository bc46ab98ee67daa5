import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { refusalOfSource } from './allowed-source.ts';
import { policySpecSchema } from './policy.ts';

const image = (text: string) => ({ oci: { image: text } });
const folder = (text: string) => ({ path: { path: text } });
const allows = (sources: object, source: Parameters<typeof refusalOfSource>[1]): boolean =>
  refusalOfSource(policySpecSchema.parse({ sources }).sources, source, 'team-a/default') === undefined;

describe('what a policy allows of sources', () => {
  it.each<[string, string, boolean]>([
    ['registry.example', 'registry.example/team-a/sql:v1', true],
    ['registry.example/team-a', 'registry.example/team-a/sql:v1', true],
    ['registry.example/team-a/sql', `registry.example/team-a/sql@sha256:${'0'.repeat(64)}`, true],
    ['registry.example/team-a/sql', 'registry.example/team-a/sql:v1', true],
    ['Registry.EXAMPLE/team-a', 'registry.example/team-a/sql:v1', true],
    ['registry.example/team-a', 'REGISTRY.example/team-a/sql:v1', true],
    ['localhost:5000/a', 'localhost:5000/a:v1', true],
    // Whole parts only.
    ['registry.example/team-a', 'registry.example/team-ab/sql:v1', false],
    ['registry.example/team-a', 'registry.example/team-a-b/sql:v1', false],
    ['registry.example/team', 'registry.example/team-a:v1', false],
    ['registry.example', 'registry.example.evil/team-a/sql:v1', false],
    ['registry.example', 'evil.registry.example/team-a/sql:v1', false],
    ['registry.example/team-a', 'registry.example/other/team-a:v1', false],
    // The port is part of the host.
    ['registry.example', 'registry.example:5000/sql:v1', false],
    ['localhost:5000', 'localhost:50001/sql:v1', false],
    // Shorter than what is allowed.
    ['registry.example/team-a/sql', 'registry.example/team-a:sql', false],
  ])('%s: %s is %s', (allowed, asked, expected) => {
    expect(allows({ registries: [allowed] }, image(asked))).toBe(expected);
  });

  it.each<[string, string, boolean]>([
    ['team-a', 'team-a/sql', true],
    ['team-a', 'team-a', true],
    ['team-a', 'team-ab/sql', false],
    ['team-a', 'Team-a/sql', false],
    ['team-a/sql', 'team-a', false],
  ])('%s: the path %s is %s', (allowed, asked, expected) => {
    expect(allows({ paths: [allowed] }, folder(asked))).toBe(expected);
  });

  it('is everything where nothing is said of that kind of source, and nothing by an empty list', () => {
    expect(allows({}, image('any.example/a:v1'))).toBe(true);
    expect(allows({ registries: ['registry.example'] }, folder('a'))).toBe(true);
    expect(allows({ paths: [] }, folder('a'))).toBe(false);
    expect(allows({ registries: [] }, image('any.example/a:v1'))).toBe(false);
  });

  it.each<[string, string, boolean]>([
    ['https://files.example', 'https://files.example/a.tar', true],
    ['https://files.example/', 'https://files.example:443/a.tar?x=1', true],
    ['https://files.example/team-a', 'https://FILES.example/team-a/sql/a.tar', true],
    ['https://files.example/team-a/', 'https://files.example/team-a/./a.tar', true],
    ['https://files.example/team-a', 'https://files.example/team-ab/a.tar', false],
    ['https://files.example/team-a', 'https://files.example/team-a/../team-b/a.tar', false],
    ['https://files.example/team-a', 'https://files.example/team-a/%2e%2E/team-b/a.tar', false],
    ['https://files.example/team-a', 'https://files.example/team-a/..%2fteam-b/a.tar', false],
    ['https://files.example/team-a', 'https://files.example/team-a/..%5Cteam-b/a.tar', false],
    ['https://files.example', 'http://files.example/a.tar', false],
    ['https://files.example', 'https://files.example:8443/a.tar', false],
    ['https://files.example', 'https://files.example.evil/a.tar', false],
    ['https://[:::]', 'https://files.example/a.tar', false],
  ])('%s: the address %s is %s', (allowed, url, expected) => {
    expect(allows({ urls: [allowed] }, { http: { url, sha256: '0'.repeat(64) } })).toBe(expected);
  });

  it.each<[string, string, boolean]>([
    ['team-a', 'team-a/sql', true],
    ['Team-A/SQL', 'team-a/sql', true],
    ['team-a/sql', 'team-a/sql-2', false],
    ['team', 'team-a/sql', false],
  ])('%s: the repository %s is %s', (allowed, repo, expected) => {
    const source = { huggingFace: { repo, revision: 'c'.repeat(40) } };
    expect(allows({ huggingFace: [allowed] }, source)).toBe(expected);
  });

  it('is no web address and no hub where a policy from before they were known limits something', () => {
    const http = { http: { url: 'https://files.example/a.tar', sha256: '0'.repeat(64) } };
    const hub = { huggingFace: { repo: 'team-a/sql', revision: 'c'.repeat(40) } };
    for (const sources of [{ registries: ['r.example'] }, { paths: [] }])
      expect([allows(sources, http), allows(sources, hub)]).toEqual([false, false]);
    for (const sources of [{}, { metricHosts: [] }])
      expect([allows(sources, http), allows(sources, hub)]).toEqual([true, true]);
    expect(allows({ registries: [], urls: ['https://files.example'] }, http)).toBe(true);
  });

  it('counts only the parts of a template that are the same for every user', () => {
    const users = image('registry.example/team-a/users/{user}:v1');
    expect(allows({ registries: ['registry.example/team-a/users'] }, users)).toBe(true);
    expect(allows({ registries: ['registry.example/team-a/users/alice'] }, users)).toBe(false);
    expect(allows({ registries: ['registry.example/team-b'] }, users)).toBe(false);
    expect(allows({ paths: ['team-a'] }, folder('team-a-{user}'))).toBe(false);
  });

  it('names the policy, the source and what is allowed', () => {
    const { sources } = policySpecSchema.parse({ sources: { registries: ['a.example/x', 'b.example'] } });
    expect(refusalOfSource(sources, image('c.example/x:v1'), 'team-a/default')).toBe(
      'c.example/x:v1 is not below what the policy team-a/default allows in spec.sources.registries: a.example/x, b.example',
    );
    expect(refusalOfSource({ paths: [] }, folder('x'), 'team-a/default')).toContain(
      'spec.sources.paths: none',
    );
  });

  const part = fc.stringMatching(/^[a-z0-9]{1,4}$/);
  it('never allows what does not begin with all parts of something allowed', () => {
    fc.assert(
      fc.property(
        fc.array(part, { minLength: 1, maxLength: 3 }),
        fc.array(part, { minLength: 1, maxLength: 4 }),
        (allowed, asked) => {
          const begins = allowed.every((one, index) => one === asked[index]);
          expect(allows({ paths: [allowed.join('/')] }, folder(asked.join('/')))).toBe(begins);
          const registry = { registries: [`r.example/${allowed.join('/')}`] };
          expect(allows(registry, image(`r.example/${asked.join('/')}:v1`))).toBe(begins);
        },
      ),
    );
  });
});

describe('the schema of a policy', () => {
  it.each<[string, object, string]>([
    ['a scheme', { registries: ['https://registry.example'] }, 'must not start with a scheme'],
    ['a tag', { registries: ['registry.example/a:v1'] }, 'without a tag'],
    ['a slash at the end', { registries: ['registry.example/'] }, 'must be the host of a registry'],
    ['no host', { registries: ['team-a'] }, 'must be the host of a registry'],
    ['an absolute path', { paths: ['/srv'] }, 'must be relative to an import root'],
    ['a way out', { paths: ['a/../b'] }, 'must not have ".." segments'],
    ['the same twice', { paths: ['a', 'a'] }, 'must be unique'],
  ])('refuses %s, which would match nothing', (_, sources, says) => {
    const parsed = policySpecSchema.safeParse({ sources });
    expect(parsed.success ? '' : parsed.error.issues.map(({ message }) => message).join()).toContain(says);
  });
});
