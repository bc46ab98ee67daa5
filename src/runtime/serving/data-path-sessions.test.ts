import { describe, expect, it } from 'vitest';
import { classifierSchema } from '../../api/classifier.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Prompt } from '../engine/engine.ts';
import { silent } from '../routing/labelled.ts';
import type { RequestContext } from '../routing/request.ts';
import { good, key, next } from './data-path.fixture.ts';
import { byChance, front, minute, nodeWith, rollout, stickyRule } from './data-path-sessions.fixture.ts';

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
      for (const text of prompts)
        rules.push((await node.ask(session, {}, node.path, { kind: 'text', text })).rule);
      return rules;
    };
    expect(await rulesOf('a', 'an invoice', 'hello')).toEqual(['invoices', 'invoices']);
    expect(await rulesOf('b', 'hello', 'an invoice')).toEqual(['others', 'others']);
    expect(await rulesOf('b', 'a password', 'an invoice')).toEqual(['secrets', 'others']);
  });

  it('keeps nothing of a decision where the verdict of an earlier rule was unknown, unless its rule says so', async () => {
    const to = (name: string, adapter: string, more: object = {}) => ({
      name,
      targets: [{ adapter }],
      ...more,
    });
    const doctor = { classifier: { name: 'intent', labels: ['medical'] } };
    const labels = [{ name: 'medical', terms: [{ text: 'heart' }] }];
    const classifiers = [
      classifierSchema.parse({ name: 'intent', minConfidence: 0.5, keywords: { labels } }),
    ];
    const heart = { kind: 'text', text: 'my heart beats fast' } as const;
    const long = { kind: 'text', text: 'a'.repeat(3_000) } as const;
    const ids = { kind: 'ids', ids: [1, 2] } as const;
    const invoice = { kind: 'text', text: 'an invoice' } as const;
    const rulesOf = async (
      match: object,
      more: object,
      prompts: readonly Prompt[],
      first: readonly Record<string, unknown>[] = [],
    ) => {
      const resource = front([
        ...first,
        to('special', 'next', { matches: [match] }),
        to('everyone', 'good', more),
      ]);
      const node = nodeWith({ ...resource, body: { ...resource.body, classifiers } });
      const path = node.withFacts({
        classify: (_, name, { prompt }) =>
          prompt?.text.includes('heart') === true
            ? { ...silent(name, ''), label: 'medical', score: 1 }
            : silent(name, 'nothing in it is known'),
      });
      const rules: string[] = [];
      for (const prompt of prompts) rules.push((await node.ask('s', {}, path, prompt)).rule);
      return rules;
    };
    const hi = { kind: 'text', text: 'Hi' } as const;
    const regex = { promptRegex: 'invoice' };
    const anew = ['everyone', 'special', 'special'];
    expect(await rulesOf(doctor, {}, [hi, heart, hi])).toEqual(anew);
    expect(await rulesOf(regex, {}, [ids, invoice, ids])).toEqual(anew);
    expect(await rulesOf(regex, {}, [long, invoice, long])).toEqual(anew);
    // It was told that this is no invoice.
    expect(await rulesOf(regex, {}, [hi, invoice])).toEqual(['everyone', 'everyone']);
    expect(await rulesOf(doctor, { stickyDecision: {} }, [hi, heart])).toEqual(['everyone', 'everyone']);
    const decide = { stickyDecision: { idleTimeout: '1h', onUncertain: 'Decide' } };
    expect(await rulesOf(doctor, decide, [hi, heart, hi])).toEqual(anew);
    // A rule that keeps nothing sees the others of the session as well.
    const asked = to('asked', 'next', { matches: [doctor], stickyDecision: { keeps: 'Nothing' } });
    expect(await rulesOf(regex, {}, [hi, invoice, heart], [asked])).toEqual([
      'everyone',
      'everyone',
      'asked',
    ]);
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
