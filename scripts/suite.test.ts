import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { aloneAtTheEnd, describeFailures } from './suite.ts';

const file = (name: string, startSecond: number, endSecond: number) => ({
  name: join(import.meta.dirname, '..', name),
  startTime: startSecond * 1000,
  endTime: endSecond * 1000,
});

describe('the file for which the others waited', () => {
  it('is named with the seconds that it ran alone', () => {
    expect(aloneAtTheEnd([file('a', 0, 10), file('long', 5, 70), file('b', 10, 30)])).toEqual([
      '40 s at the end with long alone: see scripts/longest-first.ts',
    ]);
    expect(aloneAtTheEnd([file('a', 0, 10), file('long', 45, 70)])).toEqual([
      '25 s at the end with long alone: see scripts/longest-first.ts',
    ]);
  });

  it('is not named where others ended shortly before, or where there is no other', () => {
    expect(aloneAtTheEnd([file('a', 0, 55), file('long', 5, 70)])).toEqual([]);
    expect(aloneAtTheEnd([file('only', 0, 90)])).toEqual([]);
    expect(aloneAtTheEnd([])).toEqual([]);
  });
});

describe('a failure', () => {
  const described = (lines: number): string[] =>
    describeFailures([
      {
        file: 'a.test.ts',
        test: 'works',
        message: Array.from({ length: lines }, (_, i) => `${i}`).join('\n'),
      },
    ]).split('\n');

  it('is described with the first and the last lines of a long message', () => {
    const lines = described(100).map((line) => line.trim());
    expect(lines[0]).toBe('a.test.ts: works');
    expect([lines[1], lines[12], lines[13], lines[14], lines.at(-1)]).toEqual([
      '0',
      '11',
      '(64 lines left out)',
      '76',
      '99',
    ]);
  });

  it('is described with all of a short one', () => {
    expect(described(36)).toHaveLength(37);
  });
});
