import { describe, expect, it } from 'vitest';
import { ruleSchema } from '../api/route.ts';
import { plannedRules } from './planned-rules.ts';

const targets = [{ adapter: 'a' }, { adapter: 'b' }];
const prompt = { promptRegex: 'invoice' };
const classifier = { classifier: { name: 'intent', labels: ['medical'] } };
const header = { headers: [{ name: 'x-department', value: 'law' }] };

/** What each of some rules keeps in a plan; undefined: nothing. */
const keptBy = (...rules: readonly Record<string, unknown>[]) =>
  plannedRules(rules.map((one, index) => ruleSchema.parse({ name: `r${index}`, targets, ...one }))).map(
    ({ stickyDecision }) => stickyDecision?.keeps,
  );

describe('what a rule keeps of sessions without being asked to', () => {
  it.each([
    ['a pattern for prompts', prompt],
    ['a classifier', classifier],
    ['a negation of one', { ...header, not: [classifier] }],
  ])('is the version where it decides by %s, and where a later rule takes what it leaves', (_, match) => {
    expect(keptBy({ matches: [header] }, { matches: [header, match] }, { matches: [header] }, {})).toEqual([
      undefined,
      'Version',
      'Version',
      'Version',
    ]);
  });

  it('is the version where chance decides about each request', () => {
    expect(keptBy({ hashOn: 'Request' }, {})).toEqual(['Version', undefined]);
    expect(keptBy({ hashOn: 'Session' })).toEqual([undefined]);
    const one = [{ adapter: 'a' }, { adapter: 'b', weight: 0 }];
    expect(keptBy({ hashOn: 'Request', targets: one })).toEqual([undefined]);
  });

  it('is nothing where headers and users alone decide', () => {
    const user = { user: { in: ['u1'] }, not: [header] };
    const task = { task: { in: ['summarize'] }, adapterHint: { in: ['law'] } };
    expect(keptBy({ matches: [header, user] }, { matches: [task] }, {})).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('is no decision where the verdict of an earlier rule was unknown', () => {
    const [rule] = plannedRules([ruleSchema.parse({ name: 'r', targets, matches: [prompt] })]);
    expect(rule?.stickyDecision).toEqual({
      idleTimeout: '30m',
      keeps: 'Version',
      onUncertain: 'Decide',
    });
  });
});

describe('a rule that says what it keeps', () => {
  it('keeps that', () => {
    expect(keptBy({ stickyDecision: { keeps: 'Target' } }, {})).toEqual(['Target', undefined]);
    expect(keptBy({ matches: [prompt], stickyDecision: { keeps: 'Target' } })).toEqual(['Target']);
    const [rule] = plannedRules([ruleSchema.parse({ name: 'r', targets, stickyDecision: {} })]);
    expect(rule?.stickyDecision).toEqual({ idleTimeout: '30m', keeps: 'Version', onUncertain: 'Keep' });
  });

  it('keeps nothing where it says so, as a rule that needs no state, and has later rules keep nothing on its account', () => {
    const nothing = { stickyDecision: { keeps: 'Nothing' } };
    expect(keptBy({ hashOn: 'Request', ...nothing })).toEqual([undefined]);
    expect(keptBy({ matches: [prompt], ...nothing }, {})).toEqual([undefined, undefined]);
    expect(keptBy({ matches: [prompt], ...nothing }, { matches: [classifier] }, {})).toEqual([
      undefined,
      'Version',
      'Version',
    ]);
  });
});
