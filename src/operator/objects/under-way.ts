import type { Read, RuntimeObject } from './objects.ts';

type UnderWay = NonNullable<NonNullable<RuntimeObject['status']>['rollouts']>[number];

/** Entries that are remembered, in each of two generations. */
const generation = 16_384;

/**
 * What AdapterRuntimes say of rollouts under way, each entry once for all of them: nearly all runtimes say the same, and two
 * hundred canaries on each of a thousand would be 50 MB. Nobody changes an entry.
 *
 * Bounded: what was not read again for a whole generation is forgotten here, and then costs another copy.
 */
export class SharedUnderWay {
  #young = new Map<string, UnderWay>();
  #old = new Map<string, UnderWay>();

  /** The same object, with entries that others have as well. */
  of(read: Read<RuntimeObject>): Read<RuntimeObject> {
    const { object } = read;
    const { rollouts = [] } = object?.status ?? {};
    if (object?.status === undefined || rollouts.length === 0) return read;
    const status = { ...object.status, rollouts: rollouts.map((entry) => this.#known(entry)) };
    return { ...read, object: { ...object, status } };
  }

  #known(entry: UnderWay): UnderWay {
    const name = Object.values(entry).join(' ');
    const young = this.#young.get(name);
    if (young !== undefined) return young;
    const known = this.#old.get(name) ?? entry;
    if (this.#young.size >= generation) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(name, known);
    return known;
  }
}
