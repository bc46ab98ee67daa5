import { createHmac, randomBytes } from 'node:crypto';

/** A secret of 32 bytes in hexadecimal digits. `namespace`: it is of that one alone; '': those of all are made of it. */
export type FeedbackKey = { readonly namespace: string; readonly key: string };

/** What a node keeps of them. */
export type KeptKeys = {
  /** Made here: signs where no operator gave one. */
  readonly own: string;
  /** Of operators, the one that signs first. */
  readonly given: readonly FeedbackKey[];
};

/** Keys of operators that are kept: those of before still verify. */
const maxGiven = 8;

/** The key of one namespace: who has it can make no ids of another one. The operator makes them in the same way. */
export const keyOfNamespace = (root: Uint8Array, namespace: string): Buffer =>
  createHmac('sha256', root).update(`adaptlet feedback ${namespace}`).digest();

/**
 * What ids of answers are signed with, and whose ids are taken. Without an operator the key of this node alone; with one that
 * of all its runtimes, which stays on the disk, so that ids outlive restarts and the absence of the operator.
 */
export class FeedbackKeys {
  readonly #own: string;
  readonly #write: (kept: KeptKeys) => void;
  #given: readonly FeedbackKey[];
  readonly #byNamespace = new Map<string, readonly Buffer[]>();

  /** `kept`: undefined: a key is made, and written. */
  constructor(kept?: KeptKeys, write: (kept: KeptKeys) => void = () => undefined) {
    this.#own = kept?.own ?? randomBytes(32).toString('hex');
    this.#given = kept?.given ?? [];
    this.#write = write;
    if (kept === undefined) write({ own: this.#own, given: this.#given });
  }

  /** Those that an operator gives now, the one that signs first. What it gave before still verifies. */
  learn(keys: readonly FeedbackKey[]): void {
    const isSame = (a: FeedbackKey, b: FeedbackKey): boolean =>
      a.namespace === b.namespace && a.key === b.key;
    const former = this.#given.filter((one) => !keys.some((key) => isSame(one, key)));
    const given = [...keys, ...former].slice(0, maxGiven);
    if (given.length === this.#given.length && given.every((one, i) => isSame(one, this.#given[i] ?? one)))
      return;
    this.#given = given;
    this.#byNamespace.clear();
    this.#write({ own: this.#own, given });
  }

  /** Those that may have signed for rollouts of a namespace. The first one signs. */
  of(namespace: string): readonly [Buffer, ...Buffer[]] {
    const known = this.#byNamespace.get(namespace);
    const [first, ...others] = known ?? this.#made(namespace);
    if (first === undefined) throw new RangeError('there is always the key of the node');
    return [first, ...others];
  }

  #made(namespace: string): readonly Buffer[] {
    const given = this.#given.flatMap((one) => {
      const key = Buffer.from(one.key, 'hex');
      if (one.namespace === '') return [keyOfNamespace(key, namespace)];
      return one.namespace === namespace ? [key] : [];
    });
    const keys = [...given, keyOfNamespace(Buffer.from(this.#own, 'hex'), namespace)];
    // Namespaces of rollouts of the plan: there are not many.
    this.#byNamespace.set(namespace, keys);
    return keys;
  }
}
