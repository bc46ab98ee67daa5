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
