import type { Feeds, MixedFeeds } from '../adapters/feeds.ts';
import type { LoadedAdapter } from '../adapters/loaded-adapter.ts';
import type { EncoderSession } from '../session/encoder-session.ts';
import { type PoolingPath, poolEach } from './pooling-path.ts';

/** A text that waits to be run. */
export type Text = {
  readonly path: PoolingPath;
  /** Null: the base model. */
  readonly adapter: LoadedAdapter | null;
  readonly ids: readonly number[];
};

type Numbered = Text & { readonly place: number };

/** Runs texts of one output together, each with its adapter: one vector for each. */
export class MixedTexts {
  readonly #lora: EncoderSession;
  readonly #rows: MixedFeeds | undefined;

  /** `rows`: undefined where texts of different adapters cannot run together. */
  constructor(lora: EncoderSession, rows: MixedFeeds | undefined) {
    this.#lora = lora;
    this.#rows = rows;
  }

  async run(texts: readonly Text[]): Promise<readonly Float32Array[]> {
    const vectors: Float32Array[] = [];
    const numbered = texts.map((text, place): Numbered => ({ ...text, place }));
    for (const group of this.#groups(numbered)) {
      for (const [index, vector] of (await this.#runGroup(group)).entries()) {
        const text = group[index];
        if (text !== undefined) vectors[text.place] = vector;
      }
    }
    return vectors;
  }

  release(): void {
    this.#rows?.release();
  }

  /** All together where each has a row for its adapter; else by adapter. */
  #groups(texts: readonly Numbered[]): readonly (readonly Numbered[])[] {
    return this.#rows === undefined ? [...Map.groupBy(texts, ({ path }) => path).values()] : [texts];
  }

  async #runGroup(texts: readonly Numbered[]): Promise<readonly Float32Array[]> {
    const [first] = texts;
    if (first === undefined) return [];
    const { session, feeds } = this.#with(first, texts);
    const ids = texts.map((text) => text.ids);
    const [result] = await session.encode(feeds, ids, [first.path.output]);
    return result === undefined ? [] : poolEach(result, texts);
  }

  #with({ path }: Text, texts: readonly Text[]): { readonly session: EncoderSession; readonly feeds: Feeds } {
    if (texts.every((text) => text.path === path)) return { session: path.session, feeds: path.feeds() };
    if (this.#rows === undefined)
      throw new RangeError('texts of different adapters cannot run together here');
    return { session: this.#lora, feeds: this.#rows.of(texts.map(({ adapter }) => adapter?.feeds)) };
  }
}
