import { describe, expect, it } from 'vitest';
import { conditionsOf, cut, joinCapped, maxStatusMessage, readiness } from './condition.ts';
import { kstatusOf } from './kstatus.fixture.ts';

const ready = (status: 'True' | 'False', message = '') =>
  ({ type: 'Ready', status, reason: 'Why', message }) as const;

describe('conditions', () => {
  it('keep their time while the status is the same, and no longer', () => {
    const before = conditionsOf([ready('True')], undefined, 'then');
    expect(conditionsOf([ready('True', 'other')], before, 'now')).toMatchObject([
      { lastTransitionTime: 'then', message: 'other' },
    ]);
    expect(conditionsOf([ready('False')], before, 'now')).toMatchObject([{ lastTransitionTime: 'now' }]);
  });

  it('have messages that the CRD takes and that come back as they were sent', () => {
    const [condition] = conditionsOf(
      [ready('True', `${'x'.repeat(maxStatusMessage - 2)}🙂🙂`)],
      undefined,
      'now',
    );
    expect(condition?.message.length).toBeLessThanOrEqual(maxStatusMessage);
    expect(condition?.message.isWellFormed()).toBe(true);
  });
});

describe('readiness', () => {
  it.each([
    ['Current', 'Current', ['Ready=True']],
    ['InProgress', 'InProgress', ['Ready=False', 'Reconciling=True']],
    ['Failed', 'Failed', ['Ready=False', 'Stalled=True']],
    ['Unknown', 'InProgress', ['Ready=Unknown']],
  ] as const)('that is %s is read by kstatus as %s', (progress, read, present) => {
    const conditions = conditionsOf(readiness(progress, 'Why', 'because'), undefined, 'now');
    expect(conditions.map(({ type, status }) => `${type}=${status}`)).toEqual(present);
    expect(kstatusOf(1, { observedGeneration: 1, conditions })).toBe(read);
    expect(kstatusOf(2, { observedGeneration: 1, conditions })).toBe('InProgress');
  });

  it('gives the same conditions again while nothing is different', () => {
    const observed = readiness('InProgress', 'Why', 'because');
    const before = conditionsOf(observed, undefined, 'then');
    expect(conditionsOf(observed, before, 'now')).toEqual(before);
  });

  it('takes a condition that is over away, and gives it a new time when it comes back', () => {
    const on = conditionsOf(readiness('InProgress', 'Why', ''), undefined, 'then');
    const off = conditionsOf(readiness('Current', 'Why', ''), on, 'now');
    expect(off.map(({ type }) => type)).toEqual(['Ready']);
    expect(conditionsOf(readiness('InProgress', 'Why', ''), off, 'later')).toMatchObject([
      { type: 'Ready', lastTransitionTime: 'later' },
      { type: 'Reconciling', lastTransitionTime: 'later' },
    ]);
  });
});

it('cuts with an ellipsis, and only what is too long', () => {
  expect([cut('abcd', 4), cut('abcde', 4)]).toEqual(['abcd', 'abc…']);
});

it('a message lists some and counts the rest', () => {
  expect([joinCapped(['a', 'b'], 2), joinCapped(['a', 'b', 'c'], 2)]).toEqual(['a, b', 'a, b and 1 more']);
});
