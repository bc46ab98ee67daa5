import type { ObjectIndex } from '../../plan/object-index.ts';
import { resourceKey } from '../../plan/resources.ts';
import type { KeySecrets } from '../keys/key-secrets.ts';
import type { Withheld } from './withheld.ts';

export type KeysOfPlans = Pick<KeySecrets, 'resources' | 'unread' | 'onChange'>;

/** What is unread has no version. */
const unread = '';

/** Keeps the keys out of Secrets in the index as they are now. */
export class PlannedKeys {
  readonly #keys: KeysOfPlans;
  readonly #index: ObjectIndex;
  readonly #withheld: Withheld;
  /** Versions, by resource key. */
  #known: ReadonlyMap<string, string> = new Map();

  constructor(keys: KeysOfPlans, parts: { readonly index: ObjectIndex; readonly withheld: Withheld }) {
    this.#keys = keys;
    this.#index = parts.index;
    this.#withheld = parts.withheld;
  }

  /** Looks at all of them; what is as it was touches nothing. */
  look(): void {
    const resources = new Map(this.#keys.resources().map((resource) => [resourceKey(resource), resource]));
    const versions = new Map([...resources].map(([key, { version }]) => [key, version]));
    for (const name of this.#keys.unread()) versions.set(`Keys ${name}`, unread);
    const former = this.#known;
    this.#known = versions;
    for (const key of new Set([...former.keys(), ...versions.keys()])) {
      if (former.get(key) === versions.get(key)) continue;
      this.#withheld.set(key, versions.get(key) === unread);
      this.#index.setKeys(key, resources.get(key));
    }
  }
}
