import { describe, expect, it } from 'vitest';
import { maxStatusMessage } from '../api/condition.ts';
import { conditionsOf, cut, listed } from './conditions.ts';

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

it('cuts with an ellipsis, and only what is too long', () => {
  expect([cut('abcd', 4), cut('abcde', 4)]).toEqual(['abcd', 'abc…']);
});

it('lists some and counts the rest', () => {
  expect([listed(['a', 'b'], 2), listed(['a', 'b', 'c'], 2)]).toEqual(['a, b', 'a, b and 1 more']);
});
