import type { ErrorCode } from '../../../src/errors/catalogue.ts';
import type { Mutator } from './mutators/choices.ts';

/** A reader of bytes from outside, and what holds of it whatever the bytes are. */
export type Target = {
  readonly name: string;
  /** The file or folder that is read with, for the table. */
  readonly reads: string;
  /** Real ones. Those in corpus/NAME come besides. */
  readonly examples: () => readonly Uint8Array[];
  /** Changes that know the format; half of all changes are of these. */
  readonly mutators: readonly Mutator[];
  /**
   * Reads, and checks what was read: throws {@link Broken} for what must not be. Returns a word for what was read, '' for
   * nothing special; inputs that give a new word are kept and changed further.
   */
  readonly run: (bytes: Uint8Array) => string | Promise<string>;
  /** What bytes may be refused with. */
  readonly codes: readonly ErrorCode[];
  /** Other errors that the reader says it throws. */
  readonly throws?: (error: unknown) => boolean;
  /** Milliseconds after which one execution counts as hung. Default: {@link limits}. */
  readonly maxMs?: number;
  /** Bytes that one execution may leave on the heap and in buffers. Default: {@link limits}. */
  readonly maxBytes?: number;
};

export const limits = { maxMs: 5000, maxBytes: 64 * 1024 * 1024, heapMegabytes: 512 } as const;

/** A reader did something that it must not do. */
export class Broken extends Error {
  override readonly name = 'Broken';
}

/** @throws Broken */
export const must = (holds: boolean, what: string): void => {
  if (!holds) throw new Broken(what);
};

/** Text of bytes as a reader of text gets it. */
export const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');
