import { describe, expect, it } from 'vitest';
import type { Flow } from './fair-queue.ts';
import { type Running, standing, victimForRoom, victimsFor } from './preemption.ts';

const flow = (tenant: string, priority = 0): Flow => ({ tenant, adapter: null, priority });

/** A sequence that has given enough tokens to make way; its name begins with its tenant's. */
const running = (name: string, { tokens = 100, priority = 0 } = {}): Running<string> => ({
  sequence: name,
  flow: flow(name.charAt(0), priority),
  tokens,
});

/** Tenant a had so much more service than everybody else. */
const aheadBy =
  (service: number) =>
  (a: Flow, b: Flow): number =>
    (a.tenant === 'a' ? service : 0) - (b.tenant === 'a' ? service : 0);

const victims = (
  waiting: Flow,
  rows: readonly Running<string>[],
  ahead: (a: Flow, b: Flow) => number = () => 0,
): readonly string[] => victimsFor({ flow: waiting, isOverdue: false }, rows, ahead);

describe('who makes way for a tenant without a row', () => {
  it('is at once the latest of a tenant with two or more, first of the one with most', () => {
    const rows = ['c1', 'a1', 'a2', 'a3', 'c2'].map((name) => running(name));
    expect(victims(flow('b'), rows)).toEqual(['a3', 'a2', 'a1', 'c2', 'c1']);
  });

  it('is the only row of another tenant in turns: once that is a turn ahead', () => {
    const rows = [running('a1'), running('c1')];
    expect(victims(flow('b'), rows)).toEqual([]);
    expect(victims(flow('b'), rows, aheadBy(256))).toEqual([]);
    expect(victims(flow('b'), rows, aheadBy(257))).toEqual(['a1']);
  });
});

describe('who makes way for a tenant with rows', () => {
  const rows = ['b1', 'a1', 'a2', 'a3'].map((name) => running(name));

  it('is one of a tenant with two more, when that has had more service', () => {
    expect(victims(flow('b'), rows, aheadBy(64))).toEqual([]);
    expect(victims(flow('b'), rows, aheadBy(65))).toEqual(['a3', 'a2', 'a1']);
  });

  it('is one of a tenant with one more only when that is a turn ahead', () => {
    const close = rows.slice(0, -1);
    expect(victims(flow('b'), close, aheadBy(256))).toEqual([]);
    expect(victims(flow('b'), close, aheadBy(257))).toEqual(['a2', 'a1']);
  });

  it('is nobody of a tenant with as many or fewer, whatever it had', () => {
    expect(victims(flow('b'), [running('a1'), running('b1')], aheadBy(1e6))).toEqual([]);
    expect(victims(flow('b'), [running('a1'), running('b1'), running('b2')], aheadBy(1e6))).toEqual([]);
  });
});

describe('who makes way for an adapter of the same tenant', () => {
  const of = (adapter: string): Flow => ({ tenant: 'a', adapter, priority: 0 });
  const rows = ['x', 'x', 'y'].map((adapter, at) => ({
    sequence: `${adapter}${at}`,
    flow: of(adapter),
    tokens: 100,
  }));

  it('is the latest of an adapter with two or more, when it has no row at all', () => {
    expect(victims(of('z'), rows)).toEqual(['x1', 'x0']);
    expect(victims(of('y'), rows, () => 1e6)).toEqual([]);
  });

  it('is nobody of an adapter with one row, nor of the same adapter, whatever those had', () => {
    expect(victims(of('z'), rows.slice(1), () => 1e6)).toEqual([]);
    expect(victims(of('x'), rows, () => 1e6)).toEqual([]);
  });
});

describe('whoever waits', () => {
  it('takes no place of its own adapter', () => {
    expect(victims(flow('a'), [running('a1'), running('a2')], aheadBy(1e6))).toEqual([]);
  });

  it('takes no place of one that gave fewer than eight tokens since it got it', () => {
    const rows = [running('a1', { tokens: 7 }), running('a2', { tokens: 8 }), running('a3', { tokens: 0 })];
    expect(victims(flow('b'), rows)).toEqual(['a2']);
    expect(victims(flow('b', 1), rows)).toEqual(['a2']);
  });

  it('takes the place of a lower priority, the lowest first, also of its own tenant', () => {
    const rows = [running('a1', { priority: 1 }), running('b1'), running('a2', { priority: 2 })];
    expect(victims(flow('b', 2), rows)).toEqual(['b1', 'a1']);
  });

  it('takes no place of a higher priority', () => {
    const rows = [running('a1', { priority: 1 }), running('a2', { priority: 1 })];
    expect(victims(flow('b'), rows, aheadBy(1e6))).toEqual([]);
  });

  it('takes places of lower priorities before those of its own', () => {
    const rows = ['a1', 'a2', 'a3'].map((name) => running(name, { priority: 1 }));
    expect(victims(flow('b', 1), [running('c1'), ...rows])).toEqual(['c1', 'a3', 'a2', 'a1']);
  });
});

describe('namespaces', () => {
  const of = (namespace: string, tenant = '', guaranteed = 0): Flow => ({
    namespace,
    tenant,
    adapter: null,
    priority: 0,
    guaranteed,
  });
  const row = (sequence: string, own: Flow, tokens = 100): Running<string> => ({
    sequence,
    flow: own,
    tokens,
  });

  it('compete by all of their rows, whatever tenants these are of', () => {
    const rows = [row('a1', of('a', 'x')), row('a2', of('a', 'y')), row('b1', of('b'))];
    expect(victims(of('c'), rows)).toEqual(['a2', 'a1']);
    expect(victims(of('a', 'z'), rows)).toEqual([]);
  });

  it('get a row that is guaranteed at once, from one that has more than is guaranteed to it', () => {
    const rows = [row('a1', of('a')), row('b1', of('b', '', 2)), row('b2', of('b', '', 2))];
    expect(victims(of('c', '', 1), rows)).toEqual(['a1']);
    expect(victims(of('c', '', 1), rows.slice(1))).toEqual([]);
    expect(victims({ ...of('c'), priority: 9 }, rows.slice(1))).toEqual([]);
  });

  it('get a row that is guaranteed also of one that has given nothing yet; nobody else does', () => {
    const rows = [{ ...row('a1', of('a'), 0), filling: true }];
    expect(victims(of('c', '', 1), rows)).toEqual(['a1']);
    expect(victims({ ...of('c'), priority: 9 }, rows)).toEqual([]);
  });

  it('give way for lack of memory beyond what is guaranteed first', () => {
    const rows = [row('a1', of('a', '', 2)), row('a2', of('a', '', 2)), row('b1', of('b'))];
    expect(victimForRoom(rows, () => 0)).toBe('b1');
    expect(victimForRoom(rows.slice(0, 2), () => 0)).toBe('a2');
  });
});

describe('an adapter that is overdue', () => {
  const of = (adapter: string, tenant = 'a'): Flow => ({ tenant, adapter, priority: 0 });
  const rows = ['x', 'y'].map((adapter) => ({ sequence: adapter, flow: of(adapter), tokens: 100 }));
  const overdue = (waiting: Flow, running_: readonly Running<string>[]): readonly string[] =>
    victimsFor({ flow: waiting, isOverdue: true }, running_, () => 0);

  it('takes the only row of another adapter of its tenant, not that of another tenant', () => {
    expect(overdue(of('z'), rows)).toEqual(['y', 'x']);
    expect(overdue(of('z', 'b'), rows.slice(0, 1))).toEqual([]);
  });

  it('takes the row of one that waits for its caller, whosever it is, but what is guaranteed', () => {
    const stalled = { sequence: 's', flow: { ...of('x'), namespace: 'n' }, tokens: 2, stalled: true };
    expect(overdue({ ...of('z'), namespace: 'm' }, [stalled])).toEqual(['s']);
    expect(victimsFor({ flow: of('z'), isOverdue: false }, [stalled], () => 0)).toEqual([]);
    const sure = { ...stalled, flow: { ...stalled.flow, guaranteed: 1 } };
    expect(overdue({ ...of('z'), namespace: 'm' }, [sure])).toEqual([]);
  });
});

describe('for lack of memory', () => {
  const row = (
    name: string,
    kvBytes: number,
    { kvGuaranteed = 0, guaranteed = 0, tokens = 100, filling = false } = {},
  ): Running<string> => ({
    sequence: name,
    flow: { namespace: name.charAt(0), tenant: '', adapter: null, priority: 0, kvGuaranteed, guaranteed },
    tokens,
    filling,
    kvBytes,
  });
  const newcomer = (namespace: string): Flow => ({ namespace, tenant: '', adapter: null, priority: 0 });
  const lacking = (rows: readonly Running<string>[], isOwedMemory: boolean): readonly string[] =>
    victimsFor({ flow: newcomer('b'), isOverdue: false, lacks: 'memory', isOwedMemory }, rows, () => 0);

  it('rows of who has more than is guaranteed to it make way at once for what is, down to that', () => {
    const rows = [
      row('a1', 10, { kvGuaranteed: 15, tokens: 0 }),
      row('a2', 10, { kvGuaranteed: 15, tokens: 0, filling: true }),
      row('a3', 10, { kvGuaranteed: 15, tokens: 0 }),
      row('c1', 10, { kvGuaranteed: 10 }),
    ];
    expect(lacking(rows, true)).toEqual(['a3', 'a2']);
    expect(lacking(rows, false)).toEqual([]);
  });

  it('also rows that are guaranteed to it, as memory is guaranteed as well', () => {
    expect(lacking([row('a1', 10, { guaranteed: 1 })], true)).toEqual(['a1']);
    expect(lacking([row('a1', 10, { guaranteed: 1 })], false)).toEqual([]);
  });

  it('rows within what is guaranteed make way for nobody, but for lack of a row', () => {
    const rows = [row('a1', 10, { kvGuaranteed: 20 }), row('a2', 10, { kvGuaranteed: 20 })];
    expect(lacking(rows, false)).toEqual([]);
    expect(victimsFor({ flow: newcomer('b'), isOverdue: false }, rows, () => 0)).toEqual(['a2']);
  });

  it('those that grow take from who has more than is guaranteed to it, whatever that has given', () => {
    const sure = [row('a1', 10, { kvGuaranteed: 20 }), row('a2', 10, { kvGuaranteed: 20 })];
    expect(victimForRoom([...sure, row('c1', 1, { tokens: 0 })], () => 0)).toBe('c1');
    expect(victimForRoom([...sure, row('c1', 1), row('c2', 1, { filling: true })], () => 0)).toBe('c1');
    expect(victimForRoom(sure, () => 0)).toBe('a2');
    expect(victimForRoom([row('c1', 1, { tokens: 0 })], () => 0)).toBeUndefined();
  });

  it('who waits for its caller makes way first, but for what is guaranteed to its namespace', () => {
    const stalled = { ...row('a1', 10, { kvGuaranteed: 10 }), stalled: true };
    expect(standing([stalled, row('c1', 10)])).toBeUndefined();
    expect(standing([{ ...stalled, kvBytes: 11 }, row('c1', 10)])).toBe('a1');
  });
});
