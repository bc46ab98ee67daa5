import { describe, expect, it } from 'vitest';
import type { RequestContext } from '../routing/request.ts';
import {
  byChance,
  front,
  minute,
  nodeWith,
  rollout,
  sessionKey,
  stickyRule,
} from './data-path-sessions.fixture.ts';

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
