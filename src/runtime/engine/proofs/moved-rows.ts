import type { Site } from '../../compiled/compile-target.ts';
import type { DecoderSession } from '../session/decoder-session.ts';
import { Perturbation } from './perturbation.ts';

/** Of the same tokens, which are in the cache when the last one comes: attention depends on queries and keys. */
const prompt = [3, 5, 7];
const next = 11;

const rows = 16;

const chunksOf = (sites: readonly Site[]): readonly (readonly Site[])[] =>
  Array.from({ length: Math.ceil(sites.length / rows) }, (_, at) => sites.slice(at * rows, (at + 1) * rows));

/**
 * The linears whose LoRA inputs do not move the logits of a row: each is asked in a row of its own, many in one step, and its
 * row compared with the same row without an adapter. One that is not among them is wired, if rows are their own
 * (`prove-rows.ts`); one that is may be so small that a row rounds it away, and has to be asked by itself.
 */
export const unmovedInRows = async (
  lora: Pick<DecoderSession, 'sites' | 'vocabSize' | 'feeds' | 'mixed' | 'newRows' | 'prepareRows'>,
): Promise<readonly Site[]> => {
  const { sites, vocabSize } = lora;
  const kv = lora.newRows({ rows, capacity: prompt.length + 1 });
  const mixed = lora.mixed();
  if (kv === undefined || mixed === undefined) {
    kv?.release();
    return sites;
  }
  const without = lora.feeds(new Map());
  const span = kv.span(0, rows);
  const cache = { past: span, present: span };
  const all = <T>(value: T): readonly T[] => Array.from({ length: rows }, () => value);
  const step = async (feeds = without): Promise<Float32Array> => {
    const tokens = { ids: all([next]), before: all(prompt.length), lengths: all(prompt.length + 1) };
    return (await lora.prepareRows(feeds, tokens, cache, [0])()).slice();
  };
  try {
    const fill = { ids: all(prompt), before: all(0), lengths: all(prompt.length + 1) };
    await lora.prepareRows(without, fill, cache, [prompt.length - 1])();
    const base = await step();
    const unmoved: Site[] = [];
    for (const chunk of chunksOf(sites)) {
      using stack = new DisposableStack();
      const adapters = all(null).map((none, row) => {
        const site = chunk[row];
        if (site === undefined) return none;
        const feeds = lora.feeds(stack.use(new Perturbation([site], row)).pairs);
        stack.defer(() => feeds.release());
        return feeds;
      });
      const moved = await step(mixed.of(adapters));
      for (const [row, site] of chunk.entries()) {
        const from = row * vocabSize;
        const own = moved.subarray(from, from + vocabSize);
        if (!own.some((value, at) => Number.isFinite(value) && value !== base[from + at])) unmoved.push(site);
      }
    }
    return unmoved;
  } finally {
    without.release();
    mixed.release();
    kv.release();
  }
};
