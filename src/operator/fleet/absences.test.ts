import { beforeEach, describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { Absences, disconnectedAfterMs, longestAbsenceMs } from './absences.ts';

let clock: FakeClock;
let absences: Absences;
let over: string[];

/** All of these leave at this moment. */
const leave = (names: readonly string[]): void => {
  for (const name of names) absences.begin(objectKey('nodes', name), () => over.push(name));
};
const comeBack = (name: string, goesOn = true): void => absences.end(objectKey('nodes', name), goesOn);
const named = (count: number): string[] => Array.from({ length: count }, (_, i) => `n${i}`);

const fleetOf = (runtimes: number): void => {
  clock = new FakeClock();
  absences = new Absences(clock, () => runtimes);
  over = [];
};

describe('a runtime that nobody has', () => {
  beforeEach(() => fleetOf(100));

  it('is shown as away after ten seconds', () => {
    leave(['a']);
    clock.advance(disconnectedAfterMs - 1);
    expect(over).toEqual([]);
    clock.advance(1);
    expect(over).toEqual(['a']);
  });

  it('was never away when it comes back before', () => {
    leave(['a']);
    clock.advance(disconnectedAfterMs - 1);
    comeBack('a');
    clock.advance(10 * longestAbsenceMs);
    expect(over).toEqual([]);
  });

  it('is away anew each time', () => {
    leave(['a']);
    clock.advance(disconnectedAfterMs - 1);
    comeBack('a');
    leave(['a']);
    clock.advance(disconnectedAfterMs - 1);
    expect(over).toEqual([]);
    clock.advance(1);
    expect(over).toEqual(['a']);
  });

  it('does not wait for others that flap by themselves', () => {
    leave(['a']);
    for (let second = 0; second < 10; second += 1) {
      leave(['flaps']);
      clock.advance(500);
      comeBack('flaps');
      clock.advance(500);
    }
    expect(over).toEqual(['a']);
  });
});

describe('of a crowd', () => {
  beforeEach(() => fleetOf(100));

  it('nobody is shown as away while others of it come back', () => {
    const crowd = named(60);
    leave(crowd);
    // One in four seconds: the tenth comes after 40 s.
    for (const name of crowd.slice(0, 10)) {
      clock.advance(4_000);
      comeBack(name);
    }
    expect(over).toEqual([]);
    clock.advance(disconnectedAfterMs - 1);
    expect(over).toEqual([]);
    clock.advance(1);
    expect(over).toEqual(crowd.slice(10));
  });

  it('those that were started anew delay nobody: as behind a canary that kills them', () => {
    const crowd = named(60);
    leave(crowd);
    clock.advance(4_000);
    comeBack('n0', false);
    clock.advance(6_000);
    expect(over).toEqual(crowd.slice(1));
  });

  it('all are shown as away after a minute, whoever comes back', () => {
    const crowd = named(60);
    leave(crowd);
    for (const name of crowd.slice(0, 15)) {
      clock.advance(4_000);
      comeBack(name);
    }
    expect(over).toEqual(crowd.slice(14));
  });

  it('all are shown as away after ten seconds when none comes back', () => {
    leave(named(100));
    clock.advance(disconnectedAfterMs);
    expect(over).toHaveLength(100);
  });

  it('the last ones have their time as well, when they are no crowd any more', () => {
    const crowd = named(20);
    leave(crowd);
    clock.advance(9_000);
    for (const name of crowd.slice(0, 18)) comeBack(name);
    clock.advance(9_000);
    expect(over).toEqual([]);
    clock.advance(1_000);
    expect(over).toEqual(['n18', 'n19']);
  });
});

it('needs more than a twentieth of a large fleet to be a crowd', () => {
  fleetOf(1000);
  leave(named(50));
  clock.advance(9_000);
  comeBack('n0');
  clock.advance(1_000);
  expect(over).toHaveLength(49);
});

it('tells nobody after its end', () => {
  fleetOf(100);
  leave(['a']);
  absences.close();
  clock.advance(longestAbsenceMs);
  expect(over).toEqual([]);
});
