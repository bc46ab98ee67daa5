import { describe, expect, it } from 'vitest';
import { codeOf } from '../errors/code-of.fixture.ts';
import { fill } from './template.ts';

const variables = {
  namespace: 'team-a',
  rollout: 'sql',
  'canary.adapter': 'sql.v2',
  'canary.digest': `sha256:${'a'.repeat(64)}`,
};

describe('a placeholder', () => {
  it('is replaced wherever it stands, with blanks or without', () => {
    const text = 'x{a="{{namespace}}/{{ canary.adapter }}", r="{{rollout}}"} / y{d="{{canary.digest}}"}';
    expect(fill(text, variables)).toBe(`x{a="team-a/sql.v2", r="sql"} / y{d="sha256:${'a'.repeat(64)}"}`);
  });

  it('leaves the single braces of PromQL alone', () => {
    expect(fill('{a="}"} {', variables)).toBe('{a="}"} {');
  });

  it('of something that the rollout does not have is an error that names it', () => {
    expect(() => fill('{{stable.adapter}}', variables)).toThrow('nothing for {{stable.adapter}} yet');
  });

  it('that nobody knows is an error, also where it is a property of every object', () => {
    expect(() => fill('{{constructor}}', variables)).toThrow('"{{constructor}}" is not a placeholder');
  });

  it.each(['a"} or vector(1) #', 'a`b', 'a/../b', 'a&b=c', 'a\nb', '', '{{rollout}}'])(
    'never stands for %j, which would mean something where it is put',
    async (value) => {
      const filled = () => fill('{{canary.adapter}}', { ...variables, 'canary.adapter': value });
      expect(await codeOf(filled)).toBe('METRIC_UNREADABLE');
    },
  );
});
