import { beforeEach, describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { disconnectedAfterMs } from './absences.ts';
import type { FleetChange } from './fleet.ts';
import { change, info, node, one, opened, update } from './store.fixture.ts';
import { FleetStore, local, type Source } from './store.ts';
import type { Update } from './update.ts';

let clock: FakeClock;
let fleet: FleetStore;
let changes: FleetChange[];
const b: Source = { name: 'b' };
beforeEach(() => {
  clock = new FakeClock(0);
  fleet = new FleetStore({ clock });
  changes = [];
  fleet.onChange((each) => changes.push(each));
});

describe('the connection of a runtime', () => {
  it.each([
    ['the same process in its next stream', {}, false],
    ['another process', { instance: 'other' }, true],
    [
      'a process with other facts about itself',
      { opened: { info: { ...info, version: '9' }, connectedAt: 2_000 } },
      true,
    ],
  ])('tells of %s: whether those who follow have to look at all that it is for', (_, other, connection) => {
    fleet.update(local, opened(1n, { [one]: 'Stored' }));
    fleet.gone(local, node, 1n);
    fleet.update(b, { ...opened(2n, { [one]: 'Stored' }), ...other });
    expect(changes[1]).toMatchObject({ connection, adapters: new Set() });
  });

  it('is news where it is ready, or not any more', () => {
    const ready = (ok: boolean) => ({ ready: { ok, message: '' } });
    const told = (ok: boolean, seq = 1n) =>
      update(seq, { change: change({}, { whole: false, ...ready(ok) }) });
    fleet.update(local, { ...opened(1n), change: change({}, ready(false)) });
    for (const ok of [false, true, true]) fleet.update(local, told(ok));
    fleet.update(local, { ...opened(2n), change: change({}, ready(true)) });
    fleet.update(local, { ...opened(3n), change: change({}, ready(false)) });
    expect(changes.map(({ connection }) => connection)).toEqual([true, false, true, false, false, true]);
    expect(changes.map((each) => each.opened)).toEqual([true, false, false, false, true, true]);
  });

  it('shows none of many as disconnected that another replica had and that come back one after another', () => {
    const names = Array.from({ length: 60 }, (_, i) => `m${i}`);
    const tell = (source: Source, name: string, seq: bigint, more: Partial<Update> = {}) =>
      fleet.update(source, { ...opened(seq), key: objectKey('nodes', name), ...more });
    for (const name of names) tell(b, name, 1n);
    fleet.lost(b);
    for (const name of names) {
      clock.advance(500);
      tell(local, name, 2n);
    }
    clock.advance(60_000);
    expect([...fleet.all()].filter(({ connected }) => !connected)).toEqual([]);
    expect(changes.filter(({ connection }) => connection)).toHaveLength(names.length);
    // Started anew, they say nothing of those that are still away.
    for (const { key, connectionSeq } of fleet.all()) fleet.gone(local, key, connectionSeq);
    for (const name of names.slice(0, 20)) {
      clock.advance(500);
      tell(local, name, 3n, { instance: 'anew' });
    }
    expect([...fleet.all()].filter(({ connected }) => !connected)).toHaveLength(40);
  });

  it('tells of a runtime that comes back after it was shown as disconnected', () => {
    fleet.update(local, opened(1n));
    fleet.gone(local, node, 1n);
    clock.advance(disconnectedAfterMs);
    fleet.update(local, opened(2n));
    expect(changes.map(({ connection }) => connection)).toEqual([true, true, true]);
  });
});
