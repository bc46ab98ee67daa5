import type { Digest } from '../../api/names.ts';
import type { Arrival } from '../../artifact/wish.ts';
import type { Compiler } from '../compiled/compiled-adapter.ts';
import type { Entry } from './entry.ts';

/**
 * What has room on the disk, and is not there yet: artifacts, and compiled files of those that have come. What several bring takes its
 * room once.
 */
export class DiskArrivals {
  readonly #compiler: Pick<Compiler, 'bytesOf'>;
  readonly #coming = new Map<Entry, Arrival>();
  /** Of those, for whom the store has set room aside. */
  readonly #reserved = new Set<Entry>();
  /** Whose compiled files are to come, and have no room set aside. */
  readonly #uncompiled = new Map<Entry, Arrival>();
  /** Whose compiled files are being made, with room set aside: for others with the same content as well. */
  readonly #compiling = new Map<Entry, Digest>();

  constructor(compiler: Pick<Compiler, 'bytesOf'>) {
    this.#compiler = compiler;
  }

  /** The artifact that comes for an adapter. */
  of(entry: Entry): Arrival | undefined {
    return this.#coming.get(entry);
  }

  admitted(entry: Entry, arrival: Arrival): void {
    this.#reserved.delete(entry);
    this.#coming.set(entry, arrival);
    this.compiles(entry, arrival);
  }

  /** The store has set room aside: what is free on the disk is so beside it. */
  reserved(entry: Entry): void {
    if (this.#coming.has(entry)) this.#reserved.add(entry);
  }

  /** The artifact is there, or does not come. */
  settled(entry: Entry): void {
    this.#coming.delete(entry);
    this.#reserved.delete(entry);
  }

  /** Its artifact is there, or about to be, and its compiled file comes after it. */
  compiles(entry: Entry, arrival: Arrival): void {
    this.#compiling.delete(entry);
    this.#uncompiled.set(entry, arrival);
  }

  /** Room for its compiled file is set aside. */
  compiling(entry: Entry, digest: Digest): void {
    this.#uncompiled.delete(entry);
    this.#compiling.set(entry, digest);
  }

  /** Its compiled file is there, or does not come. */
  compiled(entry: Entry): void {
    this.#uncompiled.delete(entry);
    this.#compiling.delete(entry);
  }

  /** Of the compiled file of an artifact: what it has or had, else as if it had as many as its artifact. */
  compiledBytes(entry: Entry, { digest, bytes }: Pick<Arrival, 'digest' | 'bytes'>): number {
    return this.#compiler.bytesOf(digest) ?? entry.knownCompiledBytes ?? bytes;
  }

  /** Bytes that an arrival takes more, its compiled file included, and those that others were promised beside it. */
  bytesFor(
    entry: Entry,
    arrival: Arrival,
  ): { readonly missingBytes: number; readonly promisedBytes: number } {
    const { digest } = arrival;
    const reserved = new Set<Digest>();
    const artifacts = new Map<Digest, number>();
    for (const [other, one] of this.#coming) {
      if (other === entry) continue;
      if (this.#reserved.has(other)) reserved.add(one.digest);
      else if (one.digest !== digest) artifacts.set(one.digest, one.missingBytes);
    }
    for (const one of reserved) artifacts.delete(one);
    // Its own room is asked for anew: it was too little.
    const compiling = new Set([...this.#compiling].flatMap(([other, one]) => (other === entry ? [] : [one])));
    const isCompiled = (one: Digest): boolean =>
      compiling.has(one) || this.#compiler.bytesOf(one) !== undefined;
    const compiled = new Map<Digest, number>();
    for (const [other, one] of this.#uncompiled) {
      // Its work has ended, however.
      if (other.job === undefined) this.#uncompiled.delete(other);
      else if (other !== entry && one.digest !== digest && !isCompiled(one.digest))
        compiled.set(one.digest, this.compiledBytes(other, one));
    }
    const promisedBytes = [...artifacts.values(), ...compiled.values()].reduce(
      (sum, bytes) => sum + bytes,
      0,
    );
    const comingBytes = reserved.has(digest) ? 0 : arrival.missingBytes;
    return {
      missingBytes: comingBytes + (isCompiled(digest) ? 0 : this.compiledBytes(entry, arrival)),
      promisedBytes,
    };
  }
}
