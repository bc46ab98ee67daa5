import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { bucketOf, buckets, total } from '../../rollout/judge/counts.ts';
import { armOf } from '../../rollout/splitter.ts';
import { adapter, canaryPlan, dataPathOver, good, next, planOf, split } from './data-path.fixture.ts';

const seed = '00000000000000aa';
const plan = (weight: number) => planOf(adapter('good'), adapter('next'), split(weight));
const resident = { good, next };

type Node = ReturnType<typeof dataPathOver>;
const reports = ({ tally }: Node) => tally.splits.reports('r1', next, 1);
const totals = (node: Node) =>
  reports(node).map(({ weight, stable, canary }) => ({
    weight,
    stable: [total(stable.requests), total(stable.errors)],
    canary: [total(canary.requests), total(canary.errors)],
  }));

describe('the data path counts', () => {
  it('each answer once, for the arm that gave it, in the bucket of who asked', async () => {
    const node = dataPathOver(plan(40), resident);
    const users = Array.from({ length: 60 }, (_, i) => `u${i}`);
    const expected = {
      stable: Array.from({ length: buckets }, () => 0),
      canary: Array.from({ length: buckets }, () => 0),
    };
    for (const user of users) {
      const { served } = await node.ask('sql', user);
      expect(served.arm).toBe(armOf(seed, user, 40));
      const bucket = bucketOf(seed, user);
      const of = expected[armOf(seed, user, 40)];
      of[bucket] = (of[bucket] ?? 0) + 1;
    }
    expect(reports(node)).toMatchObject([
      { weight: 40, stable: { requests: expected.stable }, canary: { requests: expected.canary } },
    ]);
    expect(total(expected.canary)).toBeGreaterThan(10);
  });

  it('the time of the engine to the first token', async () => {
    const node = dataPathOver(canaryPlan, resident);
    node.state.firstTokenMs = 120;
    await node.ask('sql');
    expect(reports(node)).toMatchObject([{ weight: 100, canary: { latencyMs: 120 } }]);
  });

  it('embeddings as well', async () => {
    const node = dataPathOver(canaryPlan, resident);
    node.state.task = 'embed';
    await node.embed('sql');
    node.state.fail = new AdaptletError('LOGITS_NOT_FINITE', 'NaN');
    await expect(node.embed('sql')).rejects.toMatchObject({ code: 'LOGITS_NOT_FINITE' });
    expect(totals(node)).toEqual([{ weight: 100, stable: [0, 0], canary: [2, 1] }]);
  });

  it.each([false, true])('a failure once, as one (after the first token: %s)', async (late) => {
    const node = dataPathOver(canaryPlan, resident);
    node.state.fail = new AdaptletError('INTERNAL', 'it broke');
    node.state.failAfterFirst = late;
    await expect(node.ask('sql')).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(totals(node)).toEqual([{ weight: 100, stable: [0, 0], canary: [1, 1] }]);
  });

  it('nothing of what is the doing of the caller', async () => {
    const node = dataPathOver(canaryPlan, resident);
    node.state.fail = new AdaptletError('PROMPT_TOO_LONG', 'too long');
    await expect(node.ask('sql')).rejects.toMatchObject({ code: 'PROMPT_TOO_LONG' });
    node.state.fail = undefined;
    const { path, request } = node;
    const context = { namespace: 'default', model: 'sql', headers: new Map() };
    const { events } = await path.generate(context, request, new AbortController().signal);
    for await (const event of events) if (event.kind === 'token') break;
    expect(totals(node)).toEqual([]);
  });

  it.each<[string, Parameters<typeof dataPathOver>]>([
    ['has no weight', [plan(0), resident]],
    ['is not Resident', [canaryPlan, { good }]],
  ])('nothing while the canary %s', async (_, [of, here]) => {
    const node = dataPathOver(of, here);
    expect((await node.ask('sql')).served.arm).toBe('stable');
    expect(totals(node)).toEqual([]);
    expect(node.counts.ofRollout('default/sql' as never)).toEqual({ stable: 1, canary: 0 });
  });

  it('nothing for a canary that was held before it began, nor for stable, which has no canary beside it any more', async () => {
    const node = dataPathOver(canaryPlan, resident);
    node.state.onFirst = () => node.holds.hold('r1', next, 'Guard', 'x');
    expect((await node.ask('sql')).served.arm).toBe('stable');
    expect(totals(node)).toEqual([]);
  });

  it('the failure with which the guard tripped for the canary, although stable answered in the end', async () => {
    const node = dataPathOver(canaryPlan, resident);
    node.state.failing = 'default/next--x';
    node.state.fail = new AdaptletError('LOGITS_NOT_FINITE', 'NaN');
    await expect(node.ask('sql')).rejects.toMatchObject({ code: 'LOGITS_NOT_FINITE' });
    expect((await node.ask('sql')).served.arm).toBe('stable');
    expect(totals(node)).toEqual([{ weight: 100, stable: [0, 0], canary: [2, 2] }]);
  });

  it('an answer before its caller sees the end: feedback may follow at once', async () => {
    const { path, request, tally } = dataPathOver(canaryPlan, resident);
    const context = { namespace: 'default', model: 'sql', user: 'u1', headers: new Map() };
    const { id, events } = await path.generate(context, request, new AbortController().signal);
    for await (const event of events) {
      if (event.kind === 'done') expect(tally.feedback.record(id, 1)).toMatchObject({ arm: 'canary' });
    }
    const [report] = tally.splits.reports('r1', next, 1);
    expect([total(report?.canary.requests ?? []), total(report?.canary.feedbacks ?? [])]).toEqual([1, 1]);
  });

  it('no feedback about an answer that no rollout gave', async () => {
    const node = dataPathOver(canaryPlan, resident);
    const ids = [(await node.ask('good')).id, (await node.ask('tiny')).id];
    for (const id of ids) {
      expect(() => node.tally.feedback.record(id, 1)).toThrow(
        expect.objectContaining({ code: 'FEEDBACK_UNKNOWN' }),
      );
    }
  });
});
