import { RE2JS } from 're2js';
import { describe, expect, it, vi } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import type { Resource, SplitResource } from '../../plan/resources.ts';
import { bucketOf } from '../../rollout/judge/counts.ts';
import type { Candidate, ServingFacts } from './decision.ts';
import {
  adapter,
  context,
  everythingResident,
  planOf,
  routeOf,
  rule,
  split,
  withCanary,
} from './plan.fixture.ts';
import { effectiveWeight, route } from './route.ts';
import { buildTable } from './table.ts';

const base = { name: 'tiny' };
const tableOf = (...resources: readonly Resource[]) => buildTable(planOf(...resources), base);
const decide = (
  table: ReturnType<typeof buildTable>,
  model: string,
  who: Parameters<typeof context>[1] = {},
  facts: ServingFacts = everythingResident,
  requestId = 'r1',
): readonly Candidate[] => route(table, context(model, who), facts, requestId).candidates;
const brief1 = (c: Candidate): string => {
  if (c.kind === 'adapter') return `${c.arm}:${c.key}${c.digest === undefined ? '' : `@${c.digest.at(-1)}`}`;
  if (c.kind === 'perUser') return `perUser:${c.user}`;
  return c.kind === 'base' ? 'base' : '-';
};
/** `arm:adapter@digit`, `base`, `perUser:user` or `-` of each candidate. */
const brief = (candidates: readonly Candidate[]): string => candidates.map(brief1).join(' ');
const users = Array.from({ length: 500 }, (_, i) => `u${i}`);

const sql = (weight: number, change: Partial<SplitResource['body']> = {}) =>
  tableOf(split('team-a/sql', { ...withCanary(weight), ...change }));
const canaryShare = (table: ReturnType<typeof buildTable>, facts = everythingResident): number =>
  users.filter((user) => brief(decide(table, 'sql', { user }, facts)).startsWith('canary')).length /
  users.length;

describe('a rollout', () => {
  it('serves stable by what it bound, and says which rollout it is', () => {
    expect(decide(tableOf(split('team-a/sql')), 'sql')).toEqual([
      {
        kind: 'adapter',
        key: 'team-a/v1',
        digest: fakeDigest('1'),
        rollout: 'sql',
        split: { key: 'team-a/sql', uid: 'uid-team-a/sql', canaryDigest: '', weight: 0 },
        arm: 'stable',
        rule: '',
      },
    ]);
  });

  it('gives the canary its share, with stable second', () => {
    expect(Math.abs(canaryShare(sql(20)) - 0.2)).toBeLessThanOrEqual(0.05);
    expect(canaryShare(sql(0))).toBe(0);
    expect(canaryShare(sql(100))).toBe(1);
    expect(brief(decide(sql(100), 'sql'))).toBe('canary:team-a/v2@2 stable:team-a/v1@1');
  });

  it('compares a canary with nothing but stable itself', () => {
    const counted = (facts: ServingFacts) =>
      users
        .slice(0, 20)
        .flatMap((user) => decide(sql(50, { fallbackToBase: true }), 'sql', { user }, facts))
        .map((c) => (c.kind === 'adapter' ? c.split?.counted !== undefined : c.kind));
    expect(counted(everythingResident)).not.toContain(false);
    const broken: ServingFacts = {
      ...everythingResident,
      troubleOf: (_, key) => (key === 'team-a/v1' ? { reason: 'NaN', isFinal: false } : undefined),
    };
    expect(new Set(counted(broken))).toEqual(new Set([false, 'base']));
  });

  it('gives the canary nobody while it is not Resident with that very digest, or is held', () => {
    const loading: ServingFacts = {
      serves: (_, digest) => digest !== fakeDigest('2'),
      isHeld: () => false,
    };
    const held: ServingFacts = {
      serves: () => true,
      isHeld: (uid, digest) => uid === 'uid-team-a/sql' && digest === fakeDigest('2'),
    };
    for (const facts of [loading, held]) {
      expect(canaryShare(sql(100), facts)).toBe(0);
      expect(effectiveWeight(split('team-a/sql', withCanary(50)), facts)).toBe(0);
    }
    expect(effectiveWeight(split('team-a/sql', withCanary(50)), everythingResident)).toBe(50);
  });

  it('says what a request counts for while the canary has requests here, in the bucket of what it is split by', () => {
    const countedOf = (table: ReturnType<typeof buildTable>, user: string, facts = everythingResident) =>
      decide(table, 'sql', { user }, facts).map((c) => (c.kind === 'adapter' ? c.split?.counted : c.kind));
    const bucket = bucketOf('0123456789abcdef', 'u42');
    const counted = { attempt: 1, weight: 100, bucket };
    expect(countedOf(sql(100), 'u42')).toEqual([counted, counted]);
    expect(countedOf(sql(0), 'u42')).toEqual([undefined]);
    expect(countedOf(sql(50), 'u42', { serves: () => false, isHeld: () => false })).toEqual([undefined]);
    const [byRequest] = decide(
      sql(100, { hashOn: 'Request' }),
      'sql',
      { user: 'u42' },
      everythingResident,
      'r7',
    );
    expect(byRequest).toMatchObject({
      split: { counted: { bucket: bucketOf('0123456789abcdef', 'r7') } },
    });
  });

  it('keeps a user, and without one a session, on one side; without both each request is by itself', () => {
    const table = sql(50);
    const arms = (who: Parameters<typeof context>[1]): Set<string> =>
      new Set(users.map((requestId) => brief(decide(table, 'sql', who, everythingResident, requestId))));
    expect(arms({ user: 'u42' }).size).toBe(1);
    expect(arms({ session: 's1' }).size).toBe(1);
    expect(arms({}).size).toBe(2);
    expect(
      new Set(
        users.map((r) =>
          brief(decide(sql(50, { hashOn: 'Request' }), 'sql', { user: 'u42' }, everythingResident, r)),
        ),
      ).size,
    ).toBe(2);
  });

  it('says why it cannot serve before it has a stable adapter', () => {
    const { stable: _, ...body } = split('team-a/sql', { message: 'waits until v1 is Resident' }).body;
    const table = tableOf({ ...split('team-a/sql'), body });
    expect(decide(table, 'sql')).toEqual([
      {
        kind: 'unavailable',
        rule: '',
        reason: 'rollout team-a/sql cannot serve: waits until v1 is Resident',
      },
    ]);
  });
});

describe('an adapter or the base model', () => {
  it('serves when it is asked for by its name', () => {
    const table = tableOf(adapter('team-a/v1'));
    expect(decide(table, 'v1')).toEqual([
      { kind: 'adapter', key: 'team-a/v1', rollout: '', arm: '', rule: '' },
    ]);
    expect(decide(table, 'tiny')).toEqual([{ kind: 'base', rule: '' }]);
    expect(() => decide(table, 'v9')).toThrow(expect.objectContaining({ code: 'MODEL_NOT_FOUND' }));
  });
});

describe('a route', () => {
  const medical = rule({
    name: 'medical',
    matches: [{ headers: [{ name: 'x-department', value: 'medical' }] }],
    targets: [{ rollout: 'medical' }],
    fallback: [{ adapter: 'v9' }, { rollout: 'general' }, { base: true }],
  });
  const beta = rule({ name: 'beta', matches: [{ user: { prefix: 'beta-' } }], targets: [{ adapter: 'v2' }] });
  const rest = rule({ name: 'rest', targets: [{ rollout: 'general' }] });
  const general = split('team-a/general');

  it('takes the first rule that matches, and every candidate carries its name', () => {
    const table = tableOf(
      adapter('team-a/v2'),
      general,
      split('team-a/medical'),
      routeOf('team-a/r', 'assistant', [medical, beta, rest]),
    );
    const both = decide(table, 'assistant', { user: 'beta-1', headers: { 'x-department': 'medical' } });
    expect(both.every((candidate) => candidate.rule === 'medical')).toBe(true);
    expect(both[0]).toMatchObject({ rollout: 'medical', arm: 'stable' });
    expect(decide(table, 'assistant', { user: 'beta-1' })).toMatchObject([
      { key: 'team-a/v2', arm: '', rule: 'beta' },
    ]);
    expect(decide(table, 'assistant')).toMatchObject([{ rollout: 'general', rule: 'rest' }]);
  });

  it('goes on to the fallbacks in their order when the target is not on this runtime', () => {
    const table = tableOf(general, routeOf('team-a/r', 'assistant', [medical]));
    const candidates = decide(table, 'assistant', { headers: { 'x-department': 'medical' } });
    expect(brief(candidates)).toBe('- - stable:team-a/v1@1 base');
    expect(candidates[0]).toMatchObject({
      reason: 'rollout team-a/medical, which rule medical asks for, is not on this runtime',
    });
    expect(candidates[1]).toMatchObject({
      reason: 'adapter team-a/v9, which rule medical asks for, is not on this runtime',
    });
  });

  it('says so when no rule matches, and when no target has a weight', () => {
    const none = rule({
      name: 'none',
      matches: [{ user: { in: ['u1'] } }],
      targets: [{ base: true, weight: 0 }],
    });
    const table = tableOf(routeOf('team-a/r', 'assistant', [none]));
    expect(decide(table, 'assistant')).toMatchObject([
      { kind: 'unavailable', reason: expect.stringContaining('no rule matches') },
    ]);
    expect(decide(table, 'assistant', { user: 'u1' })).toMatchObject([
      {
        kind: 'unavailable',
        rule: 'none',
        reason: 'rule none of route team-a/r has no target with a weight',
      },
    ]);
  });

  it('splits by weight, sticky by user, independently of the rollout behind it', () => {
    const targets = [
      { rollout: 'general', weight: 1 },
      { base: true, weight: 1 },
    ];
    const table = tableOf(
      split('team-a/general', withCanary(50)),
      routeOf('team-a/r', 'assistant', [rule({ name: 'half', targets })]),
    );
    const of = (user: string, requestId: string) =>
      brief(decide(table, 'assistant', { user }, everythingResident, requestId));
    const counts = { base: 0, stable: 0, canary: 0 };
    for (const user of users) {
      expect(of(user, 'r2')).toBe(of(user, 'r1'));
      const [kind = ''] = of(user, 'r1').split(/[: ]/);
      if (kind === 'base' || kind === 'stable' || kind === 'canary') counts[kind]++;
    }
    expect(Math.abs(counts.base - 250)).toBeLessThan(50);
    expect(Math.abs(counts.canary - 125)).toBeLessThan(40);
  });

  it('looks in its own namespace for what its rules name', () => {
    const table = tableOf(
      split('team-b/general'),
      routeOf('team-b/r', 'assistant', [rest]),
      split('team-a/general'),
    );
    expect(decide(table, 'team-b/assistant', { namespace: 'team-a' })).toMatchObject([{ key: 'team-b/v1' }]);
  });
});

describe('a rule for one adapter per user', () => {
  const template = { baseModel: 'tiny', source: { path: { path: 'users/{user}' } } };
  const personal = (change: Record<string, unknown> = {}) =>
    tableOf(routeOf('team-a/r', 'mine', [rule({ name: 'personal', perUser: template, ...change })]));
  const fallback = [{ base: true }];

  it('hands on the checked user id with the template', () => {
    expect(decide(personal(), 'mine', { user: 'u42' })).toEqual([
      { kind: 'perUser', namespace: 'team-a', route: 'r', user: 'u42', template, rule: 'personal' },
    ]);
    expect(brief(decide(personal({ fallback }), 'mine', { user: 'u42' }))).toBe('perUser:u42 base');
  });

  it('goes to the fallback without a usable user id, and without a fallback says what is needed', () => {
    for (const user of [undefined, '../etc', 'Anna', 'a'.repeat(64)]) {
      const who = user === undefined ? {} : { user };
      expect(brief(decide(personal({ fallback }), 'mine', who))).toBe('- base');
      expect(() => decide(personal(), 'mine', who)).toThrow(
        expect.objectContaining({
          code: 'REQUEST_INVALID',
          message: expect.stringMatching(/rule personal .* needs a user id/),
        }),
      );
    }
  });

  it('is not available on a runtime with another base model', () => {
    const table = personal({ perUser: { ...template, baseModel: 'other' }, fallback });
    expect(brief(decide(table, 'mine', { user: 'u42' }))).toBe('- base');
  });
});

describe('a large table', () => {
  it('compiles no pattern per request', () => {
    const headers = [{ name: 'x-a', type: 'Regex', value: 'a.*' }];
    const table = tableOf(
      routeOf('team-a/r', 'm', [rule({ name: 'x', matches: [{ headers }], targets: [{ base: true }] })]),
    );
    const compile = vi.spyOn(RE2JS, 'compile');
    for (let i = 0; i < 100; i++) decide(table, 'm', { headers: { 'x-a': `a${i}` } });
    expect(compile).not.toHaveBeenCalled();
    compile.mockRestore();
  });

  it('asks for the state of one canary per request, however many rollouts there are', () => {
    const adapters = Array.from({ length: 10_000 }, (_, i) => adapter(`team-a/a${i}`));
    const rollouts = Array.from({ length: 200 }, (_, i) => split(`team-a/s${i}`, withCanary(50)));
    const routes = Array.from({ length: 50 }, (_, i) =>
      routeOf(`team-a/r${i}`, `m${i}`, [
        ...Array.from({ length: 9 }, (__, j) =>
          rule({ name: `x${j}`, matches: [{ user: { in: [`none${j}`] } }], targets: [{ base: true }] }),
        ),
        rule({ name: 'last', targets: [{ rollout: `s${i}` }] }),
      ]),
    );
    const table = tableOf(...adapters, ...rollouts, ...routes);
    const facts = { serves: vi.fn(() => true), isHeld: vi.fn(() => false) };
    expect(decide(table, 'm7', { user: 'u1' }, facts)[0]).toMatchObject({ rollout: 's7', rule: 'last' });
    expect(facts.serves).toHaveBeenCalledTimes(1);
  });
});
