import type { Flow } from './fair-queue.ts';

/** Bytes by namespace. */
export class BytesByNamespace {
  readonly #bytes = new Map<string, number>();

  add({ namespace = '' }: Pick<Flow, 'namespace'>, bytes: number): this {
    this.#bytes.set(namespace, this.of(namespace) + bytes);
    return this;
  }

  of(namespace: string): number {
    return this.#bytes.get(namespace) ?? 0;
  }

  get all(): number {
    return this.#bytes.values().reduce((sum, bytes) => sum + bytes, 0);
  }
}

/** Something that a namespace keeps: what it has beyond what is guaranteed to it, and when this was used; Infinity: it is paused. */
export type Kept = { readonly beyond: number; readonly used: number };

/** The first to go first. */
export const byWorth = (a: Kept, b: Kept): number =>
  Number(isSure(a)) - Number(isSure(b)) ||
  Number(a.used === Infinity) - Number(b.used === Infinity) ||
  b.beyond - a.beyond;

/** It makes way for its own namespace only. */
export const isSure = ({ beyond }: Kept): boolean => beyond <= 0;

/**
 * What is guaranteed to namespaces of the memory for keys and values: of what runs, and of beginnings that are kept. Known since the
 * last sequence of each.
 */
export class KvGuarantees {
  readonly #guaranteed = new Map<string, number>();

  heard({ namespace = '', kvGuaranteed = 0 }: Flow): void {
    if (kvGuaranteed > 0) this.#guaranteed.set(namespace, kvGuaranteed);
    else this.#guaranteed.delete(namespace);
  }

  get none(): boolean {
    return this.#guaranteed.size === 0;
  }

  /** How much more a namespace has than is guaranteed to it. */
  beyond(namespace: string, rows: BytesByNamespace, kept: BytesByNamespace): number {
    return rows.of(namespace) + kept.of(namespace) - (this.#guaranteed.get(namespace) ?? 0);
  }

  /** Of what namespaces keep beside their rows, what is guaranteed to them: it makes way for their own rows only. */
  sureBytes(rows: BytesByNamespace, kept: BytesByNamespace): number {
    let bytes = 0;
    for (const [namespace, guaranteed] of this.#guaranteed)
      bytes += Math.min(kept.of(namespace), Math.max(0, guaranteed - rows.of(namespace)));
    return bytes;
  }
}
