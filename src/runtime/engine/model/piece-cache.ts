/**
 * Remembers the tokens of pieces of text, for the tokenizer. @huggingface/tokenizers 0.2 has a cache that moves each
 * piece to its end when it is used; once it is full that costs more than the work it saves: 30 µs a piece, seconds for
 * a long prompt. Here nothing is moved: when the young half is full it becomes the old one, and the old one goes.
 */
export class PieceCache<T> {
  readonly #half: number;
  #young = new Map<string, T>();
  #old = new Map<string, T>();

  constructor(capacity: number) {
    this.#half = Math.ceil(capacity / 2);
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(piece: string): T | undefined {
    const young = this.#young.get(piece);
    if (young !== undefined) return young;
    const old = this.#old.get(piece);
    // What is used stays.
    if (old !== undefined) this.put(piece, old);
    return old;
  }

  put(piece: string, tokens: T): void {
    if (this.#young.size >= this.#half) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(piece, tokens);
  }
}
