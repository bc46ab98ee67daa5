import { describe, expect, it } from 'vitest';
import type { PolicyLimits } from '../../../api/policy.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import type { RoutingTable } from '../../routing/table.ts';
import { policyTable } from './policy-table.fixture.ts';
import { Quotas } from './quotas.ts';
import { sharesOf } from './shares.ts';

const budgets = { requests: 8, adapterMemory: 1000, adapterDisk: 1000, kvMemory: 1000 };
const used = (bytes: number) => ({ adapterMemory: () => bytes, adapterDisk: () => bytes });

const start = (table: RoutingTable) => {
  const clock = new FakeClock();
  const warnings: unknown[] = [];
  const quotas = new Quotas({
    clock,
    budgets: () => budgets,
    logger: { warn: (what: unknown) => warnings.push(what) },
  });
  quotas.follow(table);
  return { clock, quotas, warnings };
};

const refusalOf = (work: () => unknown): AdaptletError => {
  try {
    work();
  } catch (error) {
    if (error instanceof AdaptletError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
};

const limited = (limits: PolicyLimits): RoutingTable => policyTable({ a: limits });

describe('requests of a node that is short of memory', () => {
  it('are asked about with whether they are guaranteed, after the limits of their namespace, and count for nothing when refused', () => {
    const asked: boolean[] = [];
    const quotas = new Quotas({
      clock: new FakeClock(),
      budgets: () => budgets,
      logger: { warn: () => undefined },
      admit: (isGuaranteed) => {
        asked.push(isGuaranteed);
        if (!isGuaranteed) throw new AdaptletError('MEMORY_PRESSURE', 'no memory');
      },
    });
    quotas.follow(limited({ requests: { guarantee: 1, limit: 1 } }));
    expect(refusalOf(() => quotas.enter('b')).code).toBe('MEMORY_PRESSURE');
    const first = quotas.enter('a');
    expect(refusalOf(() => quotas.enter('a')).code).toBe('NAMESPACE_REQUESTS');
    first[Symbol.dispose]();
    quotas.enter('a');
    expect(asked).toEqual([false, true, true]);
  });

  it('has the sum of what is guaranteed to namespaces', () => {
    const { quotas } = start(
      policyTable({ a: { kvMemory: { guarantee: '100' } }, b: { kvMemory: { guarantee: '200' } } }),
    );
    expect([quotas.guaranteed('kvMemory'), quotas.guaranteed('adapterMemory')]).toEqual([300, 0]);
  });
});

describe('requests of a namespace', () => {
  it('are refused beyond the limit with number, limit and time, and taken again once one ended', () => {
    const { quotas } = start(limited({ requests: { limit: 2 } }));
    const first = quotas.enter('a');
    quotas.enter('a');
    const error = refusalOf(() => quotas.enter('a'));
    expect(error).toMatchObject({ code: 'NAMESPACE_REQUESTS', httpStatus: 429, retryAfterMs: 1000 });
    expect(error.what).toBe('namespace a has 2 requests open here, and may have 2');
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    quotas.enter('a');
    expect(() => quotas.enter('a')).toThrow(/may have 2/);
    expect(quotas.views(used(0))).toEqual([
      { namespace: 'a', limit: 'requests', used: 2, guaranteed: 0, most: 2, refused: 2 },
    ]);
  });

  it('of others are no matter, nor where no policy is', () => {
    const { quotas } = start(limited({ requests: { limit: 0 } }));
    expect(() => quotas.enter('a')).toThrow(/may have 0/);
    for (let count = 0; count < 100; count += 1) quotas.enter('b');
    const { quotas: none } = start(policyTable({}));
    for (let count = 0; count < 100; count += 1) none.enter('a');
  });

  it('that are guaranteed are told to the engine', () => {
    const { quotas } = start(limited({ requests: { guarantee: 3 } }));
    expect(quotas.enter('a').forEngine).toEqual({ guaranteed: 3 });
    expect(quotas.enter('b').forEngine).toEqual({ guaranteed: 0 });
    const { quotas: kv } = start(limited({ kvMemory: { limit: '2Ki' } }));
    expect(kv.enter('a').forEngine).toEqual({ guaranteed: 0, kvLimitBytes: 2048 });
  });

  it('that are open stay when the limit becomes less', () => {
    const { quotas } = start(limited({ requests: { limit: 4 } }));
    const open = [quotas.enter('a'), quotas.enter('a'), quotas.enter('a')];
    quotas.follow(limited({ requests: { limit: 1 } }));
    expect(() => quotas.enter('a')).toThrow(/has 3 requests open/);
    for (const one of open) one[Symbol.dispose]();
    quotas.enter('a');
  });
});

it('what others refuse by a limit is counted for it', () => {
  const { quotas } = start(limited({ adapterMemory: { limit: '1Ki' }, kvMemory: { limit: '2Ki' } }));
  quotas.failed('a', new AdaptletError('NAMESPACE_ADAPTER_MEMORY', 'full'));
  quotas.failed('a', new AdaptletError('NAMESPACE_KV_MEMORY', 'full'));
  quotas.failed('a', new AdaptletError('INTERNAL', 'broken'));
  expect(quotas.views(used(512))).toEqual([
    { namespace: 'a', limit: 'adapterMemory', used: 512, guaranteed: 0, most: 1024, refused: 1 },
    { namespace: 'a', limit: 'kvMemory', used: undefined, guaranteed: 0, most: 2048, refused: 1 },
  ]);
});

it('what was refused and used of those with a policy is remembered, whatever names callers choose', () => {
  const { quotas } = start(policyTable({ a: { requests: { limit: 0 } }, b: { tokensPerMinute: 60 } }));
  expect(() => quotas.enter('a')).toThrow(/may have 0/);
  quotas.enter('b').used(60);
  for (let name = 0; name < 300; name += 1) quotas.enter(`n${name}`)[Symbol.dispose]();
  expect(quotas.refused()).toEqual([{ namespace: 'a', limit: 'requests', refused: 1 }]);
  expect(() => quotas.enter('b')).toThrow(/60 tokens a minute/);
});

describe('tokens of a namespace', () => {
  it('are refused once a minute is used up, with the time after which there is one', () => {
    const { quotas, clock } = start(limited({ tokensPerMinute: 60 }));
    const open = quotas.enter('a');
    open.used(90);
    const error = refusalOf(() => quotas.enter('a'));
    expect(error).toMatchObject({ code: 'NAMESPACE_TOKENS', httpStatus: 429, retryAfterMs: 31_000 });
    expect(error.what).toMatch(/60 tokens a minute here, and used 90/);
    clock.advance(31_000);
    quotas.enter('a');
    quotas.enter('b').used(1e9);
    quotas.enter('b');
  });

  it('that were used count on when the plan changes, and no more without a limit', () => {
    const { quotas } = start(limited({ tokensPerMinute: 60 }));
    quotas.enter('a').used(60);
    quotas.follow(limited({ tokensPerMinute: 50 }));
    expect(() => quotas.enter('a')).toThrow(/50 tokens a minute/);
    quotas.follow(policyTable({}));
    quotas.enter('a');
  });
});

describe('shares of a node', () => {
  it('are those of the default policy for each namespace without one by itself', () => {
    const table = policyTable(
      { system: { requests: { limit: 1 } }, a: { requests: { limit: 5 } } },
      'system',
    );
    const shares = sharesOf(table, budgets);
    expect(shares.of('a').requests.limit).toBe(5);
    expect(shares.of('b').requests.limit).toBe(1);
    const { quotas } = start(table);
    quotas.enter('b');
    quotas.enter('c');
    expect(() => quotas.enter('b')).toThrow(/may have 1/);
  });

  it('that guarantee more than the node has are scaled down in proportion, and it is said once', () => {
    const table = policyTable({
      a: { requests: { guarantee: 12 }, adapterMemory: { guarantee: '500' } },
      b: { requests: { guarantee: 4 }, adapterMemory: { guarantee: '500' } },
    });
    const { quotas, warnings } = start(table);
    expect(sharesOf(table, budgets).of('a').requests.guarantee).toBe(6);
    expect(sharesOf(table, budgets).of('b').requests.guarantee).toBe(2);
    expect(quotas.shareOf('a', 'adapterMemory').guarantee).toBe(500);
    quotas.follow(table);
    expect(warnings).toHaveLength(1);
    expect(quotas.notKept).toEqual([
      'policies guarantee 16 requests at a time, this node has 8: each guarantee counts 50 % of it',
    ]);
  });

  it('of the memory for keys and values are scaled once that is known', () => {
    const own = { ...budgets, kvMemory: Infinity };
    const quotas = new Quotas({
      clock: new FakeClock(),
      budgets: () => own,
      logger: { warn: () => undefined },
    });
    quotas.follow(
      policyTable({ a: { kvMemory: { guarantee: '2000' } }, b: { adapterDisk: { limit: '1Ki' } } }),
    );
    expect(quotas.enter('a').forEngine).toEqual({ guaranteed: 0, kvGuaranteedBytes: 2000 });
    own.kvMemory = 1000;
    quotas.budgetsChanged();
    expect(quotas.enter('a').forEngine).toEqual({ guaranteed: 0, kvGuaranteedBytes: 1000 });
    expect(quotas.notKept).toEqual([expect.stringMatching(/2000 bytes of keys and values.* 1000.* 50 %/)]);
    expect(quotas.shareOf('b', 'adapterDisk')).toEqual({ guarantee: 0, limit: 1024 });
  });

  it('guarantee nothing beyond a limit', () => {
    const table = limited({ adapterMemory: { guarantee: '300', limit: '200' } });
    expect(sharesOf(table, budgets).of('a').adapterMemory).toEqual({ guarantee: 200, limit: 200 });
  });
});

it('more answers than the namespace or the node ever has places for are refused as what they are', () => {
  const parts = { clock: new FakeClock(), budgets: () => budgets, logger: { warn: () => undefined } };
  const quotas = new Quotas({ ...parts, places: 4 });
  quotas.follow(limited({ requests: { limit: 2 } }));
  const refused = { code: 'REQUEST_INVALID', retryAfterMs: undefined };
  expect(refusalOf(() => quotas.enter('a', 3))).toMatchObject({
    ...refused,
    what: expect.stringContaining('namespace a may have 2'),
  });
  expect(refusalOf(() => quotas.enter('b', 5))).toMatchObject({
    ...refused,
    what: expect.stringContaining('this node runs or keeps waiting 4'),
  });
  quotas.enter('b', 4);
  quotas.enter('a', 2);
});
