import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { WebAssemblyInstance, WebAssemblyModule } from '../web-assembly.ts';
import { refusalOf } from './refusal.ts';

/** See native/token-masks/src/lib.rs. */
type Exports = {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  input(bytes: number): number;
  open(): number;
  compile(kind: number): number;
  begin(): number;
  end(handle: number): void;
  mask(handle: number): number;
  mask_words(): number;
  take(handle: number, token: number, least: number): number;
  forced(): number;
  forced_count(): number;
  message(): number;
  message_bytes(): number;
};

/** Tokens of a text within an answer, as the model was trained; undefined where it is not known. */
export type Tokenize = (text: string) => readonly number[] | undefined;

const built = new URL('../../../../native/token-masks/', import.meta.url);
const pageBytes = 65_536;
const kinds = { json: 0, regex: 1, lark: 2 } as const;

/** What the module compiles. */
export type Source = { readonly kind: keyof typeof kinds; readonly source: string };

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const lenient = new TextDecoder('utf-8', { ignoreBOM: true });
const encoder = new TextEncoder();

/**
 * The module of native/token-masks, ready to be instantiated.
 * @throws STRUCTURE_NOT_AVAILABLE
 */
export const readModule = async (folder: URL = built): Promise<WebAssemblyModule> => {
  const path = fileURLToPath(new URL('token-masks.wasm', folder));
  try {
    return await WebAssembly.compile(await readFile(path));
  } catch (cause) {
    throw new AdaptletError('STRUCTURE_NOT_AVAILABLE', `${path}: ${String(cause)}`, { cause });
  }
};

/** Text that is cut, or begins, within a character has no tokens of its own. */
const textOf = (bytes: Uint8Array): string | undefined => {
  try {
    return strict.decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
};

/**
 * One instance of the module: a vocabulary and a grammar, in a memory of its own.
 *
 * Guarantees: what is asked takes bounded work and memory. Once a call trapped, nothing can be said any more: `isBroken`.
 */
export class Instance {
  readonly #exports: Exports;
  #broken = false;

  /** `memory`: what another instance of the module was, between two calls. */
  constructor(module: WebAssemblyModule, tokenize: Tokenize, memory?: Uint8Array) {
    const instance: WebAssemblyInstance = new WebAssembly.Instance(module, {
      // Nothing depends on the time.
      env: { now: () => 0 },
      adaptlet: {
        tokenize: (text: number, bytes: number, ids: number) =>
          this.#tokenize(tokenize, { text, bytes, ids }),
      },
    });
    this.#exports = instance.exports as unknown as Exports;
    if (memory !== undefined) this.become(memory);
  }

  /**
   * Goes on as another one, whose memory this is; nothing of what it was is left. It does not get smaller. Before its first trap only.
   */
  become(memory: Uint8Array): void {
    const lacks = memory.length - this.bytes;
    if (lacks > 0) this.#exports.memory.grow(lacks / pageBytes);
    const bytes = this.#bytes();
    bytes.set(memory);
    bytes.fill(0, memory.length);
  }

  /** Of its memory. */
  get bytes(): number {
    return this.#exports.memory.buffer.byteLength;
  }

  /** True once a call trapped. */
  get isBroken(): boolean {
    return this.#broken;
  }

  /** A copy of all that it is. Threads share it: to send it copies nothing. */
  copy(): Uint8Array {
    const copy = new Uint8Array(new SharedArrayBuffer(this.bytes));
    copy.set(this.#bytes());
    return copy;
  }

  /** @throws INTERNAL */
  open(vocabulary: Uint8Array): void {
    this.#give(vocabulary);
    if (this.#guard(() => this.#exports.open()) === 0) throw new AdaptletError('INTERNAL', this.#message());
  }

  /** @throws STRUCTURE_UNSUPPORTED, STRUCTURE_TOO_COMPLEX */
  compile({ kind, source }: Source): void {
    this.#give(encoder.encode(source));
    if (this.#guard(() => this.#exports.compile(kinds[kind])) === 0) throw refusalOf(this.#message());
  }

  /** A matcher at the beginning of the grammar. */
  begin(): number {
    return this.#checked(this.#guard(() => this.#exports.begin()));
  }

  end(handle: number): void {
    if (!this.#broken) this.#guard(() => this.#exports.end(handle));
  }

  /** Valid until the next call. @throws STRUCTURE_TOO_COMPLEX */
  mask(handle: number): Uint32Array {
    const place = this.#guard(() => this.#exports.mask(handle));
    if (place === 0) throw refusalOf(this.#message());
    return new Uint32Array(this.#exports.memory.buffer, place, this.#exports.mask_words());
  }

  /** `least`: tokens that can only follow and come at once, if they are as many; 0: none do. @throws STRUCTURE_TOO_COMPLEX */
  take(
    handle: number,
    token: number,
    least: number,
  ): { readonly isOver: boolean; readonly forced: readonly number[] } {
    const over = this.#checked(this.#guard(() => this.#exports.take(handle, token, least)));
    const { buffer } = this.#exports.memory;
    const forced = [...new Uint32Array(buffer, this.#exports.forced(), this.#exports.forced_count())];
    return { isOver: over === 1, forced };
  }

  #bytes(): Uint8Array {
    return new Uint8Array(this.#exports.memory.buffer);
  }

  #give(bytes: Uint8Array): void {
    const place = this.#guard(() => this.#exports.input(bytes.length));
    this.#bytes().set(bytes, place);
  }

  #checked(value: number): number {
    if (value < 0) throw refusalOf(this.#message());
    return value;
  }

  #message(): string {
    const place = this.#exports.message();
    return lenient.decode(this.#bytes().subarray(place, place + this.#exports.message_bytes()));
  }

  /** A trap is a limit that was reached, of memory or of the stack, or a defect of the module: either way it is over. */
  #guard<T>(call: () => T): T {
    if (this.#broken) throw new AdaptletError('STRUCTURE_TOO_COMPLEX', 'it took too much for another answer');
    try {
      return call();
    } catch (cause) {
      this.#broken = true;
      throw new AdaptletError('STRUCTURE_TOO_COMPLEX', `it takes too much memory: ${String(cause)}`, {
        cause,
      });
    }
  }

  #tokenize(
    tokenize: Tokenize,
    { text, bytes, ids }: { readonly text: number; readonly bytes: number; readonly ids: number },
  ): number {
    const words = textOf(this.#bytes().subarray(text, text + bytes));
    const tokens = words === undefined ? undefined : tokenize(words);
    if (tokens === undefined || tokens.length > bytes) return 0;
    new Uint32Array(this.#exports.memory.buffer, ids, tokens.length).set(tokens);
    return tokens.length;
  }
}
