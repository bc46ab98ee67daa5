import { describe, expect, it } from 'vitest';
import { type Bar, barChart } from './bar-chart.ts';

const bar = (value: number, more: Partial<Bar> = {}): Bar => ({
  label: `bar ${value}`,
  value,
  text: String(value),
  ours: false,
  ...more,
});
const draw = (bars: readonly Bar[]) =>
  barChart({ title: 'A & B', subtitle: 'less < more', groups: [{ label: 'group', bars }] });
const widths = (svg: string) =>
  [...svg.matchAll(/<rect [^>]*width="([^"]+)"/g)].map(([, width]) => Number(width));

describe('a bar chart', () => {
  it('draws bars as long as their values; one below zero has no length', () => {
    expect(widths(draw([bar(-1), bar(2), bar(4)]))).toEqual([0, 215, 430]);
  });

  it('puts a goal on the same scale, also one beyond all bars', () => {
    const svg = draw([bar(1, { goal: 2 })]);
    expect(widths(svg)).toEqual([215]);
    expect(svg).toMatch(/<line class="goal" x1="630.0"/);
  });

  it('says in words what it shows, with what has a meaning in XML escaped', () => {
    const svg = draw([bar(1, { label: '<us>', text: '1 ms', ours: true })]);
    expect(svg).toContain('<title>A &amp; B</title>');
    expect(svg).toContain('<desc>&lt;us&gt; 1 ms</desc>');
    expect(svg).toContain('<rect class="ours"');
  });
});
