import { describe, expect, it } from 'vitest';
import { resolve } from './names.ts';
import { adapter, planOf, routeOf, rule, split } from './plan.fixture.ts';
import { buildTable } from './table.ts';

const toBase = [rule({ name: 'all', targets: [{ base: true }] })];
const table = buildTable(
  planOf(
    adapter('team-a/sql'),
    adapter('team-a/sql-v1'),
    adapter('team-a/tiny'),
    adapter('team-b/secret'),
    split('team-a/sql'),
    split('team-b/medical'),
    routeOf('team-a/front', 'sql', toBase),
    routeOf('team-a/named-otherwise', 'assistant', toBase),
  ),
  { name: 'tiny' },
);
const kindOf = (model: string, namespace = 'team-a'): string => resolve(table, namespace, model).kind;
const refusal = (model: string, namespace = 'team-a'): string => {
  try {
    return `found a ${kindOf(model, namespace)}`;
  } catch (error) {
    expect(error).toMatchObject({ code: 'MODEL_NOT_FOUND' });
    return (error as { what: string }).what;
  }
};

describe('the names that clients send', () => {
  it('are a route before a rollout before an adapter', () => {
    expect(kindOf('sql')).toBe('route');
    expect(kindOf('sql-v1')).toBe('adapter');
    expect(kindOf('medical', 'team-b')).toBe('rollout');
    expect(kindOf('assistant')).toBe('route');
  });

  it('say with a prefix which kind is meant', () => {
    expect(kindOf('route:sql')).toBe('route');
    expect(kindOf('rollout:sql')).toBe('rollout');
    expect(kindOf('adapter:sql')).toBe('adapter');
    expect(refusal('rollout:sql-v1')).toMatch(/no rollout "rollout:sql-v1"/);
    expect(refusal('base:sql')).toBe('there is no base "base:sql" in the namespace "team-a"; it has tiny');
  });

  it('mean the base model from every namespace, also where an adapter has its name', () => {
    expect(kindOf('tiny')).toBe('base');
    expect(kindOf('tiny', 'nowhere')).toBe('base');
    expect(kindOf('base:tiny')).toBe('base');
    expect(kindOf('adapter:tiny')).toBe('adapter');
  });

  it('may name the namespace', () => {
    expect(kindOf('team-b/medical')).toBe('rollout');
    expect(kindOf('rollout:team-a/sql', 'team-b')).toBe('rollout');
    expect(kindOf('/sql')).toBe('route');
    expect(refusal('team-b/tiny')).toMatch(/in the namespace "team-b"/);
  });

  it('lead to the nearest names of that namespace only', () => {
    expect(refusal('sqll')).toBe(
      'there is no model "sqll" in the namespace "team-a"; the nearest name is sql',
    );
    expect(refusal('sql-v2')).toBe(
      'there is no model "sql-v2" in the namespace "team-a"; the nearest name is sql-v1',
    );
    expect(refusal('secrets')).not.toMatch(/secret[^s]/);
    expect(refusal('medicall', 'team-a')).not.toMatch(/medical[^l]/);
    expect(refusal('something-else')).toMatch(/it has sql, assistant, sql-v1, tiny$/);
  });

  it('are quoted and cut in messages, whatever a caller sends', () => {
    expect(refusal('evil\u001b[31m\n')).toMatch(/"evil\\u001b\[31m\\n"/);
    expect(refusal('x'.repeat(1_000_000)).length).toBeLessThan(300);
    for (const odd of ['', ':', '/', 'a/b/c', 'route:', 'constructor', '__proto__', 'toString/__proto__'])
      refusal(odd);
  });
});
