import { rowInputs } from '../onnx/rows-in-place.ts';
import type { OrtTensor } from '../ort/tensor.ts';
import { Int64Buffer } from './step-buffers.ts';

/** The rows of a step among those of a memory of [rows, heads, room, size]. */
export type PlacedRows = {
  readonly rows: readonly number[];
  /** Tokens of each that are there, */
  readonly before: readonly number[];
  /** and that each gets. */
  readonly tokens: number;
  readonly room: readonly number[];
};

const upTo = (count: number): readonly number[] => Array.from({ length: count }, (_, at) => at);

/** What {@link rowInputs} are fed. */
export class RowPlaces {
  readonly #heads = new Int64Buffer();
  readonly #past = new Int64Buffer();
  readonly #added = new Int64Buffer();
  readonly #places = new Int64Buffer();

  tensors({ rows, before, tokens, room }: PlacedRows): Readonly<Record<string, () => OrtTensor>> {
    const [, heads = 1, capacity = 1] = room;
    const past = Math.max(...before);
    const begins = rows.flatMap((row) => upTo(heads).map((head) => (row * heads + head) * capacity));
    const added = before.map((count) => upTo(tokens).map((at) => count + at));
    return {
      [rowInputs.heads]: () => this.#heads.tensorOf(begins, [rows.length, heads, 1]),
      // What pads a row is its own first token: nothing of another row can get into it, not even what is no number.
      [rowInputs.past]: () =>
        this.#past.tensorOf(
          before.flatMap((count) => upTo(past).map((at) => Math.max(0, at - (past - count)))),
          [rows.length, 1, past],
        ),
      [rowInputs.added]: () => this.#added.tensorOf(added.flat(), [rows.length, 1, tokens]),
      [rowInputs.places]: () =>
        this.#places.tensorOf(
          added.flatMap((own, at) =>
            upTo(heads).flatMap((head) => own.flatMap((token) => [rows[at] ?? 0, head, token])),
          ),
          [rows.length, heads, tokens, 3],
        ),
    };
  }

  free(): void {
    for (const buffer of [this.#heads, this.#past, this.#added, this.#places]) buffer.free();
  }
}
