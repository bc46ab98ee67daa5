import type { PointerTable } from '../ort/memory.ts';
import type { OrtTensor } from '../ort/tensor.ts';

/** One half of an adapter's pairs for every site that it targets, by graph input. */
export type LoraTensors = ReadonlyMap<string, OrtTensor>;

/**
 * Everything that one adapter feeds, built once: building 420 entries per step would cost as much as the switch
 * itself. Only the session that made it takes it: it has that session's inputs, position by position.
 */
export class Feeds {
  readonly values: PointerTable;
  /** The session that made it. */
  readonly maker: object;
  readonly #own: readonly OrtTensor[];

  /** `own` are released with it. */
  constructor(maker: object, values: PointerTable, own: readonly OrtTensor[]) {
    this.maker = maker;
    this.values = values;
    this.#own = own;
  }

  /** Between steps only. */
  release(): void {
    this.values.free();
    for (const tensor of this.#own) tensor.release();
  }
}
