import { describe, expect, it } from 'vitest';
import { type LotProgram, lotRatios, lotRounds } from '../bench/peers/lots.ts';
import type { LotAsk } from '../bench/peers/peer.ts';
import { Series } from '../bench/peers/series.ts';

const ask = (adapter: string): LotAsk => ({ adapter, ids: [1] });
const lots = [{ key: '2', asks: [ask('a'), ask('b')] }];

/** Answers at once; `started` is told how many threads each of its processes has. */
const program = (name: string, started: string[]): LotProgram => ({
  files: new Map([['a', 'file']]),
  kind: {
    name,
    what: name,
    install: async () => undefined,
    adapterFile: async () => 'file',
    start: async (threads) => {
      started.push(`${name} ${threads}`);
      return {
        pid: 0,
        load: async () => 0,
        unload: async () => undefined,
        close: async () => undefined,
        generate: async (_adapter, _ids, tokens) => {
          await new Promise((resolve) => setImmediate(resolve));
          return { atMs: [0], ids: Array.from({ length: tokens }, () => 7) };
        },
      };
    },
  },
});

const measured = async (threads: number) => {
  const [started, series] = [[] as string[], new Series()];
  await lotRounds([program('ours', started), program('other', started)], {
    threads,
    rounds: 1,
    lots,
    tokens: 3,
    twoProcesses: (name) => name === 'other',
    series,
    agreement: {},
  });
  return { started, keys: [...series.all.keys()].sort() };
};

describe('programs that are asked for lots', () => {
  it('run twice more with a thread each where there are two threads and it is wanted of them', async () => {
    const { started, keys } = await measured(2);
    expect(started).toEqual(['ours 2', 'other 2', 'other 1', 'other 1']);
    expect(keys).toEqual([
      'lot2_other_one_by_one_t2',
      'lot2_other_two_processes_t2',
      'lot2_ours_one_by_one_t2',
    ]);
  });

  it('run once with one thread', async () => {
    const { started, keys } = await measured(1);
    expect(started).toEqual(['ours 1', 'other 1']);
    expect(keys).toEqual(['lot2_other_one_by_one_t1', 'lot2_ours_one_by_one_t1']);
  });

  it('are compared by their best way, of which two processes are one', () => {
    const series = new Series();
    series.add('lot4_adaptlet_together_t2', 10);
    series.add('lot4_genai_one_by_one_t1', 40);
    series.add('lot4_genai_one_by_one_t2', 30);
    series.add('lot4_genai_two_processes_t2', 20);
    expect(lotRatios(series, [4], ['genai'])).toEqual([
      ['mixed4_over_genai', 2],
      ['mixed4_over_genai_t1', undefined],
    ]);
  });
});
