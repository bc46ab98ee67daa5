import type { Digest } from '../api/names.ts';
import type { Claim } from './claims.ts';
import type { PeerWord } from './peer-site.ts';

/** What one fetch of this node does about a blob, from its beginning to its end. */
export type Want = Disposable & {
  /** Its source is asked from here on: others wait. */
  coming(bytes: number): void;
  /** It is on the disk, and its source has sent it. Its artifact may not be granted yet. */
  brought(): void;
  /** Forgets who asked. */
  listen(): void;
  /** Who asked since then. */
  askers(): ReadonlySet<string>;
};

type Entry = { state: 'wanted' | 'coming' | 'brought'; bytes: number; readonly askers: Set<string> };

/**
 * What this node says to others of blobs that it is fetching.
 *
 * Guarantee: between `listen` and a look at `askers` nobody who asks is missed, and who asks after `coming` hears of it: of two
 * nodes that want the same blob and ask each other, one at least knows of the other before it begins.
 */
export class PeerDesk {
  readonly #entries = new Map<string, Set<Entry>>();

  want(claim: Claim, blob: Digest): Want {
    const key = keyOf(claim, blob);
    const entry: Entry = { state: 'wanted', bytes: 0, askers: new Set() };
    const entries = this.#entries.get(key) ?? new Set();
    this.#entries.set(key, entries.add(entry));
    return {
      coming: (bytes) => {
        entry.bytes = bytes;
        if (entry.state === 'wanted') entry.state = 'coming';
      },
      brought: () => {
        entry.state = 'brought';
      },
      listen: () => entry.askers.clear(),
      askers: () => entry.askers,
      [Symbol.dispose]: () => {
        entries.delete(entry);
        if (entries.size === 0 && this.#entries.get(key) === entries) this.#entries.delete(key);
      },
    };
  }

  /** Whether a fetch under way has brought a blob for this claim. */
  hasBrought(claim: Claim, blob: Digest): boolean {
    return this.#of(claim, blob).some(({ state }) => state === 'brought');
  }

  /** What to say of a blob that is not here for this claim. */
  answer(claim: Claim, blob: Digest, asker: string): PeerWord {
    const entries = this.#of(claim, blob);
    for (const { askers } of entries) askers.add(asker);
    const coming = entries.filter(({ state }) => state === 'coming');
    if (coming.length > 0) return { state: 'coming', bytes: Math.max(...coming.map(({ bytes }) => bytes)) };
    return { state: entries.some(({ state }) => state === 'wanted') ? 'wanted' : 'none', bytes: 0 };
  }

  #of(claim: Claim, blob: Digest): readonly Entry[] {
    return [...(this.#entries.get(keyOf(claim, blob)) ?? [])];
  }
}

const keyOf = ({ namespace, source }: Claim, blob: Digest): string => `${namespace}\n${source}\n${blob}`;
