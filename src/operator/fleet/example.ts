import type { ObjectKey } from '../../api/names.ts';
import { partOf, partsNamed } from '../../control/parts.ts';
import { reportPartHashes } from '../../control/report-parts.ts';
import { isSameState } from '../../control/same-state.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { AdapterState, RuntimeState } from './fleet.ts';
import { adapterToWire } from './to-wire.ts';
import type { Change } from './update.ts';

type Adapters = RuntimeState['adapters'];

/** What one runtime said of its adapters, part by part, for others that may say the same. It never changes. */
export class Example {
  readonly #parts: readonly (readonly [ObjectKey, AdapterState])[][];
  #hashes: readonly Buffer[] | undefined;

  constructor(adapters: Adapters, parts: number) {
    const entries: [ObjectKey, AdapterState][][] = Array.from({ length: parts }, () => []);
    for (const entry of adapters) entries[partOf(entry[0], parts)]?.push(entry);
    this.#parts = entries;
  }

  get parts(): number {
    return this.#parts.length;
  }

  /** See ReportLike of the protocol. */
  get partHashes(): readonly Buffer[] {
    this.#hashes ??= reportPartHashes(
      this.#parts.flatMap((part) => part.map(([key, state]) => adapterToWire(key, state))),
      this.parts,
    );
    return this.#hashes;
  }

  /** Where others say the same, and what else they say. */
  compare(adapters: Adapters): { readonly likeParts: readonly number[]; readonly others: Adapters } {
    const others = new Map<ObjectKey, AdapterState>();
    const counts = new Uint32Array(this.parts);
    for (const key of adapters.keys()) {
      const part = partOf(key, this.parts);
      counts[part] = (counts[part] ?? 0) + 1;
    }
    const isLike = this.#parts.map(
      (part, at) => part.length === counts[at] && part.every(([key, state]) => isAt(adapters, key, state)),
    );
    for (const [key, state] of adapters) if (isLike[partOf(key, this.parts)] !== true) others.set(key, state);
    return { likeParts: isLike.flatMap((is, part) => (is ? [part] : [])), others };
  }

  /**
   * A report with everything, with the adapters of these parts.
   * @throws HELLO_INVALID for parts that there are not, and for adapters of them that the report has as well
   */
  complete(change: Change, named: readonly number[]): Change {
    const like = partsNamed(named, this.parts);
    if (like === undefined || !change.whole) throw invalid('a report names parts that there are not');
    const adapters = new Map(change.adapters);
    for (const part of like) {
      for (const [key, state] of this.#parts[part] ?? []) {
        if (adapters.has(key)) throw invalid('a report has an adapter twice');
        adapters.set(key, state);
      }
    }
    return { ...change, adapters };
  }
}

const isAt = (adapters: Adapters, key: ObjectKey, state: AdapterState): boolean => {
  const there = adapters.get(key);
  return there !== undefined && isSameState(there, state);
};

const invalid = (what: string): AdaptletError => new AdaptletError('HELLO_INVALID', what);
