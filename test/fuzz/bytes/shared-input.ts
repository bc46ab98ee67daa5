import { maxInputBytes } from './mutators/bytes.ts';

/**
 * What a worker is doing, in memory that it shares with who watches it: a worker that hangs, or runs out of memory, cannot
 * say so itself.
 */
export class SharedInput {
  readonly memory: SharedArrayBuffer;
  readonly #numbers: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(memory = new SharedArrayBuffer(12 + maxInputBytes)) {
    this.memory = memory;
    this.#numbers = new Int32Array(memory, 0, 3);
    this.#bytes = new Uint8Array(memory, 12);
  }

  /** Executions that were begun. */
  get count(): number {
    return Atomics.load(this.#numbers, 0);
  }

  /** Changes with each input that is begun, counted or not. */
  get pulse(): number {
    return Atomics.load(this.#numbers, 2);
  }

  begin(input: Uint8Array): void {
    Atomics.add(this.#numbers, 0, 1);
    this.beginAgain(input);
  }

  /** An execution of one that was counted, to make it shorter. */
  beginAgain(input: Uint8Array): void {
    this.#bytes.set(input.subarray(0, this.#bytes.length));
    Atomics.store(this.#numbers, 1, Math.min(input.length, this.#bytes.length));
    Atomics.add(this.#numbers, 2, 1);
  }

  /** Of the execution that was begun last. */
  input(): Uint8Array {
    return this.#bytes.slice(0, Atomics.load(this.#numbers, 1));
  }
}
