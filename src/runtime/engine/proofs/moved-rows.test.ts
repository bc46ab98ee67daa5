import { expect, it } from 'vitest';
import type { Feeds } from '../adapters/feeds.ts';
import type { Pairs } from '../adapters/pairs.ts';
import type { DecoderSession } from '../session/decoder-session.ts';
import { unmovedInRows } from './moved-rows.ts';

const rows = 16;
const sites = Array.from({ length: 40 }, (_, at) => ({ module: `m${at}`, inFeatures: 4, outFeatures: 8 }));

type FakeFeeds = Feeds & { readonly pairs: Pairs };

/** A graph whose rows answer to the linears in `wired` only, each row to its own; `bad` is what they become. */
const graph = (wired: (module: string) => boolean, bad = 2): DecoderSession => {
  const fake = {
    sites,
    vocabSize: 2,
    feeds: (pairs: Pairs) => ({ pairs, release: () => undefined }),
    mixed: () => ({ of: (own: readonly (FakeFeeds | null)[]) => ({ own }), release: () => undefined }),
    newRows: () => ({ span: () => [], release: () => undefined }),
    prepareRows: ({ own = [] }: { readonly own?: readonly (FakeFeeds | null)[] }) => {
      const moved = (row: number): boolean => [...(own[row]?.pairs.keys() ?? [])].some(wired);
      const logits = Array.from({ length: rows }, (_, row) => [1, moved(row) ? bad : 1]).flat();
      return () => Promise.resolve(Float32Array.from(logits));
    },
  };
  return fake as unknown as DecoderSession;
};

const modules = async (session: DecoderSession): Promise<readonly string[]> =>
  (await unmovedInRows(session)).map(({ module }) => module);

it('linears that move the row with their adapter are known to be wired', async () => {
  expect(await modules(graph(() => true))).toEqual([]);
});

it('those that move nothing are not, in whatever row they stood', async () => {
  const broken = ['m0', 'm15', 'm16', 'm39'];
  expect(await modules(graph((module) => !broken.includes(module)))).toEqual(broken);
});

it('NaN is no answer', async () => {
  expect(await modules(graph(() => true, NaN))).toHaveLength(sites.length);
});
