import { describe, expect, it } from 'vitest';
import { LoraInputs } from './lora-inputs.ts';
import { LoraTables } from './lora-tables.ts';
import { floatPair } from './pairs.ts';

const sites = [
  { module: 'q', inFeatures: 4, outFeatures: 8 },
  { module: 'v', inFeatures: 4, outFeatures: 2 },
];
const before = 2;
const maker = {};

describe('rows with an adapter of each', () => {
  const tables = new LoraTables(sites);

  it('are told from rows without one, and each from the others', () => {
    const [first, second] = [1n, 2n].map((at) =>
      tables.feeds(maker, before, new Map([['q', floatPair(1, at, at)]])),
    );
    const mixed = tables.mixed(maker, before);
    const { values } = mixed.of([first, null, second, undefined, first]);
    expect(values.length).toBe(before + 1);
    expect(values.get(before)).not.toBe(0n);
    mixed.of([null]);
    for (const feeds of [first, second]) feeds!.release();
    mixed.release();
  });

  it('are never rows without one because their feeds are gone, or of another graph', () => {
    const mixed = tables.mixed(maker, before);
    const gone = tables.feeds(maker, before, new Map([['q', floatPair(1, 1n, 1n)]]));
    gone.release();
    const portable = new LoraInputs(sites).feeds(maker, before, new Map());
    const other = new LoraTables(sites).feeds(maker, before, new Map());
    for (const feeds of [gone, portable, other])
      expect(() => mixed.of([null, feeds])).toThrow('of another session, or gone');
    portable.release();
    other.release();
    mixed.release();
  });

  it('are as many as the step has', () => {
    const mixed = tables.mixed(maker, before);
    const feeds = mixed.of([null, null]);
    expect(() => feeds.rows(3)).toThrow('The step has 3 rows, and adapters for 2');
    feeds.rows(2);
    mixed.release();
  });

  it('have no factors and shifts in the portable way, which would leave them out', () => {
    const inputs = new LoraInputs(sites);
    for (const more of [{ factors: 1n }, { shifts: 1n }]) {
      const pairs = new Map([['q', { ...floatPair(1, 1n, 1n), ...more }]]);
      expect(() => inputs.feeds(maker, before, pairs)).toThrow('takes no factors and shifts');
      tables.feeds(maker, before, pairs).release();
    }
    inputs.release();
  });

  it('have no linears that the graph does not have', () => {
    expect(() => tables.feeds(maker, before, new Map([['o', floatPair(1, 1n, 1n)]]))).toThrow('no linears o');
  });
});
