import { namespaceOf, type ObjectKey } from '../../api/names.ts';
import type { RuntimeKey, RuntimeState } from '../fleet/fleet.ts';

/** One limit of a namespace, and what was refused by it since it was told. */
export type HeldBack = {
  readonly namespace: string;
  readonly limit: string;
  readonly refused: number;
  readonly runtimes: ReadonlySet<RuntimeKey>;
};

type Due = { refused: number; readonly runtimes: Set<RuntimeKey> };

/** Between two times that one limit of one namespace is told, in milliseconds. */
export const tellEveryMs = 300_000;

/**
 * What runtimes refused by limits of namespaces, from their cumulative counts, and when it is to be told: at once, and then every
 * five minutes while it goes on. What they refused before they were first seen here was told by another leader.
 */
export class HeldBackNamespaces {
  readonly #seen = new Map<
    RuntimeKey,
    Pick<RuntimeState, 'instance'> & { readonly counts: ReadonlyMap<string, number> }
  >();
  readonly #due = new Map<string, Due>();
  /** Monotonic times. */
  readonly #toldAt = new Map<string, number>();

  /** Takes in what a runtime says now; the namespaces of which there is something to tell. */
  look(state: RuntimeState): ReadonlySet<string> {
    const { key, instance, limits: counts = new Map<string, number>() } = state;
    const before = this.#seen.get(key);
    this.#seen.set(key, { instance, counts });
    const namespaces = new Set<string>();
    if (before === undefined || before.counts === counts) return namespaces;
    for (const [name, count] of counts) {
      // Counts begin anew with each start of a runtime.
      const refused = count - (before.instance === instance ? (before.counts.get(name) ?? 0) : 0);
      if (refused <= 0) continue;
      const due = this.#due.get(name) ?? { refused: 0, runtimes: new Set() };
      due.refused += refused;
      due.runtimes.add(key);
      this.#due.set(name, due);
      namespaces.add(partsOf(name).namespace);
    }
    return namespaces;
  }

  /** A runtime is away: what it refused when it comes back is not news. */
  forget(key: RuntimeKey): void {
    this.#seen.delete(key);
  }

  /** What is to be told at this time of the namespaces that are meant, and after how many milliseconds more is. */
  take(
    isMeant: (namespace: string) => boolean,
    now: number,
  ): { readonly told: readonly HeldBack[]; readonly afterMs?: number } {
    const told: HeldBack[] = [];
    let next = Infinity;
    for (const [name, { refused, runtimes }] of this.#due) {
      const { namespace, limit } = partsOf(name);
      if (!isMeant(namespace)) continue;
      const at = (this.#toldAt.get(name) ?? -Infinity) + tellEveryMs;
      if (at > now) {
        next = Math.min(next, at - now);
        continue;
      }
      this.#due.delete(name);
      this.#toldAt.set(name, now);
      told.push({ namespace, limit, refused, runtimes });
    }
    for (const [name, at] of this.#toldAt)
      if (at + tellEveryMs <= now && !this.#due.has(name)) this.#toldAt.delete(name);
    return next === Infinity ? { told } : { told, afterMs: next };
  }
}

const partsOf = (name: string): { readonly namespace: string; readonly limit: string } => {
  const key = name as ObjectKey;
  return { namespace: namespaceOf(key), limit: key.slice(key.indexOf('/') + 1) };
};
