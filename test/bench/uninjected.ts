import { PointerTable, StringTable } from '../../src/runtime/engine/ort/memory.ts';
import { OnnxSession } from '../../src/runtime/engine/ort/session.ts';
import { InPlaceCache, type KvCache } from '../../src/runtime/engine/session/kv-cache.ts';
import { sessionOptions } from '../../src/runtime/engine/session/runtime-options.ts';
import { Int64Buffer, LogitsBuffer } from '../../src/runtime/engine/session/step-buffers.ts';

export type UninjectedOptions = {
  readonly weightsFolder: string;
  readonly threads: number;
  readonly headSize: number;
};

/** A decoder graph as it was exported: no LoRA inputs, logits of every position. The measure of what ours adds. */
export class UninjectedGraph {
  readonly #session: OnnxSession;
  readonly #headSize: number;
  readonly #pasts: readonly string[];
  readonly #inputNames: StringTable;
  readonly #outputNames: StringTable;
  readonly #inputs: PointerTable;
  readonly #outputs: PointerTable;
  readonly #ids = new Int64Buffer();
  readonly #ones = new Int64Buffer(() => 1n);
  readonly #logits = new LogitsBuffer();

  private constructor(session: OnnxSession, headSize: number) {
    this.#session = session;
    this.#headSize = headSize;
    this.#pasts = session.inputs
      .map(({ name }) => name)
      .filter((name) => name.startsWith('past_key_values.'));
    const presents = this.#pasts.map((name) => name.replace('past_key_values', 'present'));
    this.#inputNames = new StringTable(['input_ids', 'attention_mask', ...this.#pasts]);
    this.#outputNames = new StringTable(['logits', ...presents]);
    this.#inputs = new PointerTable(Array.from({ length: this.#inputNames.length }, () => 0n));
    this.#outputs = new PointerTable(Array.from({ length: this.#outputNames.length }, () => 0n));
  }

  static async open(graph: Buffer, options: UninjectedOptions): Promise<UninjectedGraph> {
    const { threads, weightsFolder, headSize } = options;
    const session = await OnnxSession.open(graph, {
      ...sessionOptions({ threads, spin: true }, 'all'),
      weightsFolder,
    });
    return new UninjectedGraph(session, headSize);
  }

  newCache(capacity: number): KvCache {
    const [first] = this.#pasts;
    const kvHeads = Number(this.#session.inputs.find(({ name }) => name === first)?.shape[1]);
    return new InPlaceCache(
      { entries: this.#pasts.length, kvHeads, headSize: this.#headSize, element: 'float32' },
      capacity,
    );
  }

  async step(ids: readonly number[], cache: KvCache): Promise<void> {
    const total = cache.length + ids.length;
    const vocabSize = Number(this.#session.outputs.find(({ name }) => name === 'logits')?.shape.at(-1));
    const { past, present } = cache.step(total);
    const own = [this.#ids.tensorOf(ids, [1, ids.length]), this.#ones.tensor([1, total])];
    const logits = this.#logits.room([1, ids.length, vocabSize]).tensor;
    for (const [place, tensor] of [...own, ...past].entries()) this.#inputs.set(place, tensor.value);
    for (const [place, tensor] of [logits, ...present].entries()) this.#outputs.set(place, tensor.value);
    try {
      await this.#session.run(
        { names: this.#inputNames, values: this.#inputs },
        { names: this.#outputNames, values: this.#outputs },
      );
      cache.advance(total);
    } finally {
      for (const tensor of [...own, logits]) tensor.release();
    }
  }

  release(): void {
    this.#session.release();
    for (const table of [this.#inputNames, this.#outputNames, this.#inputs, this.#outputs]) table.free();
    for (const buffer of [this.#ids, this.#ones, this.#logits]) buffer.free();
  }
}
