import { describe, expect, it } from 'vitest';
import { classifierSchema } from '../../api/classifier.ts';
import type { Digest } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { plannedRules } from '../../plan/planned-rules.ts';
import type { Resource, RouteResource, SplitResource } from '../../plan/resources.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { silent } from '../routing/labelled.ts';
import { rule } from '../routing/plan.fixture.ts';
import type { RequestContext } from '../routing/request.ts';
import { buildTable } from '../routing/table.ts';
import { Sessions } from '../sessions/sessions.ts';
import { adapter, dataPathOver, good, key, next, planOf, split } from './data-path.fixture.ts';
import type { Demand } from './demand.ts';

const sessionKey = Buffer.alloc(32, 1).toString('base64url');
const minute = 60_000;

const front = (rules: readonly Record<string, unknown>[], key_ = sessionKey): RouteResource => ({
  type: 'Route',
  name: key('front'),
  body: {
    uid: 'f',
    createdAt: '',
    model: 'front',
    rules: plannedRules(rules.map(rule)),
    sessionKey: key_,
  },
});

const stickyRule = (change: Record<string, unknown> = {}) => ({
  name: 'all',
  targets: [{ rollout: 'sql' }],
  stickyDecision: {},
  ...change,
});
/** Two adapters, and chance for each request. */
const byChance = stickyRule({ targets: [{ adapter: 'good' }, { adapter: 'next' }], hashOn: 'Request' });

const rollout = (change: Partial<SplitResource['body']>): SplitResource => {
  const found = split(0);
  if (found.type !== 'Split') throw new Error('not a split');
  return { ...found, body: { ...found.body, ...change } };
};

/** As of a node with an operator: requests wait for it between their decision and what they are given. */
const demand: Demand = { bring: async () => 'unknown', used: () => undefined };

/** A node with a table of sessions of its own. */
const nodeWith = (...resources: readonly Resource[]) => {
  const clock = new FakeClock();
  const sessions = new Sessions(clock);
  const plan = (more: readonly Resource[]) => planOf(adapter('good'), adapter('next'), ...more);
  /** What is in RAM; tests take from it. */
  const resident: Record<string, Digest> = { good, next };
  const made = dataPathOver(plan(resources), resident, demand, sessions);
  const ask = async (
    session: string | undefined,
    who: Partial<RequestContext> = {},
    path = made.path,
    text = 'hello',
  ) => {
    const context: RequestContext = {
      namespace: 'default',
      model: 'front',
      user: 'u1',
      headers: new Map(),
      ...(session === undefined ? {} : { session }),
      ...who,
    };
    const generation = await path.generate(
      context,
      { ...made.request, prompt: { kind: 'text', text } },
      new AbortController().signal,
    );
    await Array.fromAsync(generation.events);
    return generation.served;
  };
  const inForce = (...now: readonly Resource[]) => {
    made.tables.now = buildTable(plan(now), { name: 'tiny' });
  };
  const back = (token: string | undefined) => new Map([['x-adaptlet-session-token', token ?? '']]);
  return { ...made, resident, sessions, sessionClock: clock, ask, inForce, back };
};

const served = async (node: ReturnType<typeof nodeWith>, session: string, times: number) => {
  const names = new Set<string>();
  for (let turn = 0; turn < times; turn++) names.add((await node.ask(session)).adapter);
  return [...names];
};

describe('a session on a node', () => {
  it('has one adapter for all its turns, whatever chance says of each', async () => {
    const node = nodeWith(front([byChance]));
    const firsts = new Set<string>();
    for (let session = 0; session < 40; session++) {
      const names = await served(node, `s${session}`, 5);
      expect(names).toHaveLength(1);
      firsts.add(names[0] ?? '');
    }
    expect([...firsts].toSorted()).toEqual(['good', 'next']);
    expect(node.sessions.totals().sessions).toBe(40);
  });

  it('has one adapter where chance decides and the rule does not say what it keeps, and each turn its own where it keeps nothing', async () => {
    const { stickyDecision: _, ...plain } = byChance;
    expect(await served(nodeWith(front([plain])), 's1', 40)).toHaveLength(1);
    const nothing = { ...plain, stickyDecision: { keeps: 'Nothing' } };
    expect(await served(nodeWith(front([nothing])), 's1', 40)).toHaveLength(2);
  });

  it('stays with the rule of its first prompt, whatever later ones say, and each rule that keeps nothing sees all of them', async () => {
    const to = (name: string, targets: object[], more: object = {}) => ({ name, targets, ...more });
    const node = nodeWith(
      front([
        to('secrets', [{ base: true }], {
          matches: [{ promptRegex: 'password' }],
          stickyDecision: { keeps: 'Nothing' },
        }),
        to('invoices', [{ adapter: 'next' }], { matches: [{ promptRegex: 'invoice' }] }),
        to('others', [{ adapter: 'good' }]),
      ]),
    );
    const rulesOf = async (session: string, ...prompts: readonly string[]) => {
      const rules: string[] = [];
      for (const text of prompts) rules.push((await node.ask(session, {}, node.path, text)).rule);
      return rules;
    };
    expect(await rulesOf('a', 'an invoice', 'hello')).toEqual(['invoices', 'invoices']);
    expect(await rulesOf('b', 'hello', 'an invoice')).toEqual(['others', 'others']);
    expect(await rulesOf('b', 'a password', 'an invoice')).toEqual(['secrets', 'others']);
  });

  it('is not made by requests that name none', async () => {
    const node = nodeWith(front([byChance]));
    const names = new Set<string>();
    for (let turn = 0; turn < 40; turn++) names.add((await node.ask(undefined)).adapter);
    expect(names.size).toBe(2);
    expect(node.sessions.totals().sessions).toBe(0);
  });

  it('is one of its caller, tenant and user', async () => {
    const node = nodeWith(front([byChance]));
    const whose = Array.from({ length: 40 }, (_, index) => `u${index}`);
    const names = await Promise.all(whose.map(async (user) => (await node.ask('s', { user })).adapter));
    expect(new Set(names).size).toBe(2);
    await node.ask('s', { caller: 'default/key', user: 'u1' });
    await node.ask('s', { tenant: 't', user: 'u1' });
    expect(node.sessions.totals().sessions).toBe(42);
  });

  it('is given to one adapter when its first requests come at once', async () => {
    const node = nodeWith(front([byChance]));
    for (let session = 0; session < 20; session++) {
      const turns = Array.from({ length: 4 }, () => node.ask(`s${session}`));
      const names = (await Promise.all(turns)).map((by) => by.adapter);
      expect(new Set(names).size).toBe(1);
    }
  });

  it('keeps nothing of what did not begin to answer', async () => {
    const node = nodeWith(
      front([stickyRule({ targets: [{ adapter: 'next' }], fallback: [{ base: true }] })]),
    );
    expect((await node.ask('old')).adapter).toBe('next');
    delete node.resident['next'];
    node.state.refuse.set(key('next'), new AdaptletError('ADAPTER_NOT_AVAILABLE', 'no room'));
    node.state.fail = new AdaptletError('QUEUE_FULL', 'full');
    for (const session of ['old', 'new'])
      await expect(node.ask(session)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    node.resident['next'] = next;
    node.state.refuse.clear();
    node.state.fail = undefined;
    for (const session of ['old', 'new']) expect((await node.ask(session)).adapter).toBe('next');
  });

  it('keeps nothing of a decision that lacks the answer of a classifier, and is given to one adapter by the answers', async () => {
    const rules = [
      stickyRule({
        name: 'medical',
        matches: [{ classifier: { name: 'intent', labels: ['medical'] } }],
        targets: [{ adapter: 'good' }, { adapter: 'next' }],
        hashOn: 'Request',
      }),
      stickyRule({ name: 'all', targets: [{ base: true }] }),
    ];
    const labels = [{ name: 'medical', terms: [{ text: 'heart' }] }];
    const classifier = classifierSchema.parse({ name: 'intent', minConfidence: 0.5, keywords: { labels } });
    const resource = front(rules);
    const node = nodeWith({ ...resource, body: { ...resource.body, classifiers: [classifier] } });
    const answered = new WeakSet<RequestContext>();
    const answer = async (context: RequestContext): Promise<void> => {
      await new Promise(setImmediate);
      answered.add(context);
    };
    const path = node.withFacts({
      classify: (_, name, context) => ({
        ...silent(name, answered.has(context) ? '' : 'not yet'),
        label: 'medical',
        score: 1,
      }),
      awaited: (context) => (answered.has(context) ? undefined : answer(context)),
    });
    const arms = new Set<string>();
    for (let session = 0; session < 20; session++) {
      const turns = Array.from({ length: 4 }, () => node.ask(`s${session}`, {}, path));
      const names = new Set((await Promise.all(turns)).map((by) => by.adapter));
      expect(names.size).toBe(1);
      for (const name of names) arms.add(name);
    }
    expect([...arms].toSorted()).toEqual(['good', 'next']);
  });

  it('is given to one adapter when several come at once after its own is gone', async () => {
    const node = nodeWith(front([stickyRule({ targets: [{ base: true }] })]));
    const sessions = Array.from({ length: 20 }, (_, index) => `s${index}`);
    for (const session of sessions) expect((await node.ask(session)).arm).toBe('base');
    node.inForce(front([byChance]));
    for (const session of sessions) {
      const turns = Array.from({ length: 4 }, () => node.ask(session));
      expect(new Set((await Promise.all(turns)).map((by) => by.adapter)).size).toBe(1);
    }
  });

  it('goes on with stable when the weight grows, and new ones get the canary', async () => {
    const node = nodeWith(rollout({ weight: 0 }), front([stickyRule()]));
    expect((await node.ask('old')).arm).toBe('stable');
    node.inForce(rollout({ weight: 100 }), front([stickyRule()]));
    expect((await node.ask('old')).arm).toBe('stable');
    expect((await node.ask('new')).arm).toBe('canary');
  });

  it('leaves a canary that is aborted, and does not come back when that has traffic again', async () => {
    const node = nodeWith(rollout({ weight: 100 }), front([stickyRule()]));
    expect((await node.ask('s')).arm).toBe('canary');
    node.inForce(rollout({ weight: 0 }), front([stickyRule()]));
    expect((await node.ask('s')).arm).toBe('stable');
    node.inForce(rollout({ weight: 100 }), front([stickyRule()]));
    expect((await node.ask('s')).arm).toBe('stable');
    expect((await node.ask('new')).arm).toBe('canary');
  });

  it('keeps its version when the canary becomes stable, and goes to stable after a rollback', async () => {
    const rules = front([stickyRule()]);
    const node = nodeWith(rollout({ weight: 0 }), rules);
    expect((await node.ask('s')).digest).toBe(good);
    const { canary: _, ...body } = rollout({}).body;
    const promoted = {
      ...body,
      stable: { adapter: 'next', uid: 'next', digest: next },
      former: { adapter: 'good', uid: 'good', digest: good },
    };
    node.inForce({ ...rollout({}), body: promoted }, rules);
    expect(await node.ask('s')).toMatchObject({ digest: good, arm: 'stable' });
    expect((await node.ask('new')).digest).toBe(next);
    node.inForce({ ...rollout({}), body: { ...body, weight: 0 } }, rules);
    expect((await node.ask('new')).digest).toBe(good);
  });

  it('follows the rollout where the rule keeps the target alone', async () => {
    const rules = front([stickyRule({ stickyDecision: { keeps: 'Target' } })]);
    const node = nodeWith(rollout({ weight: 0 }), rules);
    expect((await node.ask('s')).arm).toBe('stable');
    node.inForce(rollout({ weight: 100 }), rules);
    expect((await node.ask('s')).arm).toBe('canary');
  });

  it('keeps the fallback that answered it first, but not where the rule keeps the target alone', async () => {
    for (const [keeps, then] of [
      ['Version', ''],
      ['Target', 'next'],
    ] as const) {
      const targets = [{ adapter: 'next' }];
      const rules = front([stickyRule({ targets, fallback: [{ base: true }], stickyDecision: { keeps } })]);
      const node = nodeWith(rules);
      delete node.resident['next'];
      node.state.refuse.set(key('next'), new AdaptletError('ADAPTER_NOT_AVAILABLE', 'no room'));
      expect((await node.ask('s')).adapter).toBe('');
      node.resident['next'] = next;
      node.state.refuse.clear();
      expect((await node.ask('s')).adapter).toBe(then);
    }
  });

  it('is decided anew once its target has no weight, or its rule is gone', async () => {
    const to = (good_: number, next_: number) => [
      { adapter: 'good', weight: good_ },
      { adapter: 'next', weight: next_ },
    ];
    const node = nodeWith(front([stickyRule({ targets: to(1, 0) })]));
    expect((await node.ask('s')).adapter).toBe('good');
    node.inForce(front([stickyRule({ targets: to(1, 1_000_000) })]));
    expect((await node.ask('s')).adapter).toBe('good');
    node.inForce(front([stickyRule({ targets: to(0, 1) })]));
    expect((await node.ask('s')).adapter).toBe('next');
    node.inForce(front([stickyRule({ name: 'another', targets: to(1, 0) })]));
    expect((await node.ask('s')).adapter).toBe('good');
  });

  it('is forgotten when it was idle for as long as its rule says', async () => {
    const both = front([
      stickyRule({
        targets: [
          { adapter: 'good', weight: 1 },
          { adapter: 'next', weight: 1_000_000 },
        ],
      }),
    ]);
    const node = nodeWith(front([stickyRule({ targets: [{ adapter: 'good' }] })]));
    expect((await node.ask('s')).adapter).toBe('good');
    node.inForce(both);
    for (let turn = 0; turn < 4; turn++) {
      node.sessionClock.advance(29 * minute);
      expect((await node.ask('s')).adapter).toBe('good');
    }
    node.sessionClock.advance(30 * minute);
    expect((await node.ask('s')).adapter).toBe('next');
  });

  it('keeps nothing of a first request that nobody could take', async () => {
    const rules = [
      stickyRule({ name: 'gone', matches: [{ user: { in: ['u1'] } }], targets: [{ adapter: 'away' }] }),
      stickyRule({ targets: [{ adapter: 'good' }] }),
    ];
    const node = nodeWith(front(rules));
    await expect(node.ask('s')).rejects.toMatchObject({ code: 'ADAPTER_NOT_AVAILABLE' });
    expect(node.sessions.totals().sessions).toBe(0);
  });
});

describe('the token of a session', () => {
  it('brings it to another node, and over a restart', async () => {
    const rules = front([byChance]);
    for (let session = 0; session < 20; session++) {
      const first = await nodeWith(rules).ask(`s${session}`);
      const other = nodeWith(rules);
      const again = await other.ask(`s${session}`, { headers: other.back(first.sessionToken) });
      expect(again.adapter).toBe(first.adapter);
      expect(other.sessions.totals().tokens).toMatchObject({ accepted: 1, foreign: 0, malformed: 0 });
      // The node has it from then on.
      expect((await other.ask(`s${session}`)).adapter).toBe(first.adapter);
    }
  });

  it('is the session where the request names none', async () => {
    const node = nodeWith(front([byChance]));
    let { adapter: name, sessionToken } = await node.ask(undefined);
    for (let turn = 0; turn < 20; turn++) {
      const by = await node.ask(undefined, { headers: node.back(sessionToken) });
      expect(by.adapter).toBe(name);
      ({ adapter: name, sessionToken } = by);
    }
  });

  it('of a canary that was aborted meanwhile leads to stable', async () => {
    const first = await nodeWith(rollout({ weight: 100 }), front([stickyRule()])).ask('s');
    expect(first.arm).toBe('canary');
    const other = nodeWith(rollout({ weight: 0 }), front([stickyRule()]));
    expect((await other.ask('s', { headers: other.back(first.sessionToken) })).arm).toBe('stable');
  });

  it('that is older than what the node knows counts for nothing', async () => {
    const node = nodeWith(rollout({ weight: 100 }), front([stickyRule()]));
    const first = await node.ask('s');
    node.inForce(rollout({ weight: 0 }), front([stickyRule()]));
    node.sessionClock.advance(minute);
    expect((await node.ask('s')).arm).toBe('stable');
    node.inForce(rollout({ weight: 100 }), front([stickyRule()]));
    expect((await node.ask('s', { headers: node.back(first.sessionToken) })).arm).toBe('stable');
  });

  it('of another caller, session, route or time, or made by somebody, is as none', async () => {
    const weights = (good_: number, next_: number) => [
      { adapter: 'good', weight: good_ },
      { adapter: 'next', weight: next_ },
    ];
    const first = await nodeWith(front([stickyRule({ targets: weights(1, 0) })])).ask('s');
    const elsewhere = stickyRule({ targets: weights(1, 1_000_000) });
    const asked = async (
      who: Partial<RequestContext>,
      token = first.sessionToken,
      { lateMs = 0, with: signedBy = sessionKey } = {},
    ) => {
      const node = nodeWith(front([elsewhere], signedBy));
      node.sessionClock.advance(lateMs);
      const { adapter: name } = await node.ask('s', { headers: node.back(token), ...who });
      const { accepted: _, ...refused } = node.sessions.totals().tokens;
      return [name, ...Object.entries(refused).flatMap(([why, count]) => (count > 0 ? [why] : []))];
    };
    expect(await asked({})).toEqual(['good']);
    expect(await asked({ user: 'u2' })).toEqual(['next', 'foreign']);
    expect(await asked({ session: 'other' })).toEqual(['next', 'foreign']);
    expect(await asked({ caller: 'default/key' })).toEqual(['next', 'foreign']);
    const another = Buffer.alloc(32, 2).toString('base64url');
    expect(await asked({}, first.sessionToken, { with: another })).toEqual(['next', 'foreign']);
    expect(await asked({}, first.sessionToken, { lateMs: 30 * minute })).toEqual(['next', 'over']);
    expect(await asked({}, 'v1.e30.AAAA')).toEqual(['next', 'foreign']);
    expect(await asked({}, 'sql')).toEqual(['next', 'malformed']);
  });

  it('counts for as long as the rule keeps sessions by now, and clocks may be five minutes apart', async () => {
    const long = stickyRule({ stickyDecision: { idleTimeout: '24h' }, targets: [{ adapter: 'good' }] });
    const first = await nodeWith(front([long])).ask('s');
    const short = stickyRule({
      targets: [
        { adapter: 'good', weight: 1 },
        { adapter: 'next', weight: 1_000_000 },
      ],
    });
    for (const [laterMs, adapterOf, over] of [
      [30 * minute - 1, 'good', 0],
      [30 * minute, 'next', 1],
      [-5 * minute, 'good', 0],
      [-5 * minute - 1, 'next', 1],
    ] as const) {
      const node = nodeWith(front([short]));
      node.sessionClock.set(node.sessionClock.now() + laterMs);
      expect((await node.ask('s', { headers: node.back(first.sessionToken) })).adapter).toBe(adapterOf);
      expect(node.sessions.totals().tokens.over).toBe(over);
    }
  });

  it('is not made where the plan has no key, nor by a rule that keeps nothing', async () => {
    const resource = front([byChance]);
    const { sessionKey: _, ...body } = resource.body;
    expect((await nodeWith({ ...resource, body }).ask('s')).sessionToken).toBeUndefined();
    const plain = { name: 'all', targets: [{ adapter: 'good' }] };
    expect((await nodeWith(front([plain])).ask('s')).sessionToken).toBeUndefined();
  });

  it('does not matter for a name that is not a route', async () => {
    const node = nodeWith(rollout({ weight: 0 }), front([stickyRule()]));
    expect((await node.ask('s', { model: 'sql' })).sessionToken).toBeUndefined();
  });
});
