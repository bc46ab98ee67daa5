import { readFileSync } from 'node:fs';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Sampling } from '../engine.ts';
import type { WebAssemblyModule } from '../web-assembly.ts';

/** See native/sampling/src/lib.rs. */
type Exports = {
  readonly memory: { readonly buffer: ArrayBuffer };
  make(tokens: number): number;
  logits(choice: number): number;
  mask(choice: number): number;
  likeliest(choice: number, masked: number): number;
  draw(choice: number, best: number, ...filters: readonly number[]): number;
  list(choice: number, best: number, ...filters: readonly number[]): number;
  listed(choice: number): number;
  mass(choice: number, best: number): number;
};

const built = new URL('../../../../native/sampling/', import.meta.url);
let compiled: WebAssemblyModule | undefined;
const compile = (): WebAssemblyModule => {
  compiled ??= new WebAssembly.Module(readFileSync(new URL('sampling.wasm', built)));
  return compiled;
};

/** Filters as the module takes them, which has whole numbers of 32 bits. */
const filtersOf = ({ temperature, topK, topP, minP = 0 }: Sampling) => [
  temperature,
  Math.min(topK, 2 ** 31),
  topP,
  minP,
];

/** What the module makes its room for: a vocabulary. */
class Room {
  readonly exports: Exports;
  readonly pointer: number;
  readonly logits: Float32Array;
  readonly mask: Uint32Array;

  constructor(module: WebAssemblyModule, tokens: number) {
    const exports = new WebAssembly.Instance(module, {}).exports as Exports;
    this.exports = exports;
    this.pointer = exports.make(tokens);
    const { buffer } = exports.memory;
    this.logits = new Float32Array(buffer, exports.logits(this.pointer), tokens);
    this.mask = new Uint32Array(buffer, exports.mask(this.pointer), Math.ceil(tokens / 32));
  }
}

/**
 * Chooses a token by the logits of one position; WebAssembly does what goes over the whole vocabulary. One is enough for all
 * requests: it keeps nothing from choice to choice but its memory, 32 bytes for each token.
 */
export class Choice {
  readonly #module = compile();
  #room: Room | undefined;

  /** Takes the logits of the next choice. Gives a copy of them: what is changed there counts. */
  take(logits: Float32Array): Float32Array {
    if (this.#room?.logits.length !== logits.length) this.#room = new Room(this.#module, logits.length);
    this.#room.logits.set(logits);
    return this.#room.logits;
  }

  get #taken(): Room {
    if (this.#room === undefined) throw new Error('No logits were taken');
    return this.#room;
  }

  /** The likeliest token, of equals the first one; undefined where a logit is NaN or infinite. */
  #likeliest(mask?: Uint32Array): number | undefined {
    const { exports, pointer, logits, mask: bits } = this.#taken;
    if (logits.length === 0) return undefined;
    if (mask !== undefined) {
      bits.fill(0);
      bits.set(mask.length > bits.length ? mask.subarray(0, bits.length) : mask);
    }
    const id = exports.likeliest(pointer, mask === undefined ? 0 : 1);
    return id < 0 ? undefined : id;
  }

  /**
   * The likeliest token of those that may come, of equals the first one. The logits of the others are made as low as can be.
   * `mask`: a bit for each token, 32 of them a word; what is behind it may not come. Absent: all may.
   * @throws LOGITS_NOT_FINITE, also of those that may not come
   */
  likeliest(mask?: Uint32Array): number {
    const id = this.#likeliest(mask);
    if (id !== undefined) return id;
    throw new AdaptletError('LOGITS_NOT_FINITE', 'The logits of a step are NaN or infinite');
  }

  /**
   * Draws from the tokens that top-k, top-p within what that left, and then min-p leave: the one at which their probabilities,
   * added up from the likeliest on, pass `share` of all of them. min-p is a share of the likeliest one's probability, which the
   * filters before do not change. `best`: the likeliest token.
   */
  draw(best: number, sampling: Sampling, share: number): number {
    const { exports, pointer } = this.#taken;
    return exports.draw(pointer, best, ...filtersOf(sampling), share);
  }

  /** Those that {@link draw} draws from, the likeliest first; of equals the lower id. */
  left(best: number, sampling: Sampling): readonly number[] {
    const { exports, pointer } = this.#taken;
    const count = exports.list(pointer, best, ...filtersOf(sampling));
    return [...new Uint32Array(exports.memory.buffer, exports.listed(pointer), count)];
  }

  /** log(sum(exp(logits))), without overflow, and the likeliest `count` tokens. NaN and none where a logit is not finite. */
  summary(count: number): { readonly logSumExp: number; readonly top: readonly number[] } {
    const best = this.#likeliest();
    if (best === undefined) return { logSumExp: NaN, top: [] };
    const { exports, pointer, logits } = this.#taken;
    const logSumExp = (logits[best] ?? NaN) + Math.log(exports.mass(pointer, best));
    const top = count === 0 ? [] : this.left(best, { temperature: 1, topK: count, topP: 1 });
    return { logSumExp, top };
  }
}
