import { describe, expect, it } from 'vitest';
import { progressLine, progressText } from './progress.ts';

const mib = 2 ** 20;

const terminal = (isTTY: boolean) => {
  const written: string[] = [];
  return { isTTY, written, write: (text: string) => written.push(text) };
};

describe('progress', () => {
  it('has bytes, rate and the time left; what was there before is no part of the rate', () => {
    expect(progressText('received', { first: 4 * mib, bytes: 6 * mib, total: 12 * mib, ms: 1000 })).toBe(
      'received 6.0 of 12.0 MiB, 2.0 MiB/s, 3 s left',
    );
    expect(progressText('pushed', { first: 0, bytes: 0, total: mib, ms: 500 })).toBe('pushed 0.0 of 1.0 MiB');
  });

  it('is one line on a terminal, written now and then, and taken away at the end', () => {
    const to = terminal(true);
    let now = 0;
    {
      using line = progressLine('pushed', () => now, to);
      for (now = 0; now < 1000; now += 50) line.tell(now * 1000, mib);
    }
    expect(to.written).toHaveLength(5);
    expect(to.written.every((text) => text.startsWith('\r') && text.endsWith('\u001b[K'))).toBe(true);
    expect(to.written.at(-1)).toBe('\r\u001b[K');
  });

  it('is nothing elsewhere', () => {
    const to = terminal(false);
    {
      let now = 0;
      using line = progressLine('pushed', () => (now += 1000), to);
      line.tell(1, 2);
    }
    expect(to.written).toEqual([]);
  });
});
