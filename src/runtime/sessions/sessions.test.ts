import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import type { ObjectKey } from '../../api/names.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import type { Candidate } from '../routing/decision.ts';
import { context, planOf, routeOf, rule } from '../routing/plan.fixture.ts';
import type { RequestContext } from '../routing/request.ts';
import { buildTable, type RouteEntry } from '../routing/table.ts';
import { Sessions } from './sessions.ts';

const minute = 60_000;
const sessionKey = Buffer.alloc(32, 1).toString('base64url');
const targets = [{ base: true }];
const rules = [
  rule({ name: 'long', targets, stickyDecision: { idleTimeout: '24h' } }),
  rule({ name: 'short', targets, stickyDecision: {} }),
];

const entryOf = (name: string, key = sessionKey, given = rules): RouteEntry => {
  const { body, ...named } = routeOf(`team-a/${name}`, name, given);
  const plan = planOf({ ...named, body: { ...body, sessionKey: key } });
  const entry = buildTable(plan, { name: 'tiny' }).routes.get(`team-a/${name}` as ObjectKey);
  if (entry === undefined) throw new Error('the table has no route');
  return entry;
};
const front = entryOf('front');

const candidate = (named: string, route = front): Candidate => {
  const { sticky } = route.rules.find(({ name }) => name === named) ?? {};
  if (sticky === undefined) throw new Error(`no rule ${named} keeps decisions`);
  return { kind: 'base', rule: named, keepable: { route, sticky, rule: named, target: 'base' } };
};
const digest = fakeDigest('0');
const served = (sessions: Sessions, asking: RequestContext, named: string, route = front): string => {
  const one = candidate(named, route);
  return sessions.served(asking, one, one, { digest }) ?? '';
};
const asking = (token?: string) =>
  context('front', {
    user: 'u1',
    session: 's',
    ...(token === undefined ? {} : { headers: { 'x-adaptlet-session-token': token } }),
  });

describe('what a session keeps', () => {
  it('is what its first request was decided to while any request waits for that', () => {
    const sessions = new Sessions(new FakeClock());
    const [one, other] = [asking(), asking()];
    sessions.decided(one, candidate('long'));
    sessions.decided(other, candidate('long'));
    sessions.failed(one, candidate('long'));
    sessions.failed(one, candidate('long'));
    expect(sessions.kept(front, asking())?.rule).toBe('long');
    sessions.failed(other, candidate('long'));
    expect(sessions.kept(front, asking())).toBeUndefined();
    expect(sessions.totals().sessions).toBe(0);
  });

  it('is forgotten when it was idle for as long as its rule says', () => {
    const clock = new FakeClock();
    const sessions = new Sessions(clock);
    served(sessions, asking(), 'short');
    clock.advance(30 * minute - 1);
    expect(sessions.kept(front, asking())?.rule).toBe('short');
    clock.advance(1);
    expect(sessions.kept(front, asking())).toBeUndefined();
    expect(sessions.totals().sessions).toBe(0);
  });

  it('stays when a later request fails', () => {
    const sessions = new Sessions(new FakeClock());
    served(sessions, asking(), 'long');
    sessions.decided(asking(), candidate('long'));
    sessions.failed(asking(), candidate('long'));
    expect(sessions.kept(front, asking())?.rule).toBe('long');
  });

  it('is the newer one of the node and of the token, however long their rules keep sessions', () => {
    const [clock, away] = [new FakeClock(), new FakeClock()];
    const sessions = new Sessions(clock);
    served(sessions, asking(), 'long');
    for (const one of [clock, away]) one.advance(10 * minute);
    const token = served(new Sessions(away), asking(), 'short');
    expect(sessions.kept(front, asking(token))?.rule).toBe('short');
    clock.advance(1);
    served(sessions, asking(), 'long');
    expect(sessions.kept(front, asking(token))?.rule).toBe('long');
  });

  it('is over by what its rule says now', () => {
    const clock = new FakeClock();
    const sessions = new Sessions(clock);
    served(sessions, asking(), 'long');
    clock.advance(minute);
    expect(sessions.kept(front, asking())?.rule).toBe('long');
    const short = [rule({ name: 'long', targets, stickyDecision: { idleTimeout: '1m' } })];
    expect(sessions.kept(entryOf('front', sessionKey, short), asking())).toBeUndefined();
  });

  it('of another route is not what a token says that was read for the first one', () => {
    const sessions = new Sessions(new FakeClock());
    const request = asking(served(new Sessions(new FakeClock()), asking(), 'long'));
    expect(sessions.kept(front, request)?.rule).toBe('long');
    const back = entryOf('back', Buffer.alloc(32, 2).toString('base64url'));
    expect(sessions.kept(back, request)).toBeUndefined();
    expect(sessions.totals().tokens).toEqual({ accepted: 1, foreign: 1, malformed: 0, over: 0 });
  });
});
