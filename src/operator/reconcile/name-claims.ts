import { type ObjectKey } from '../../api/names.ts';
import type { Manifest } from '../../api/objects.ts';
import { clientNameOf, keyOf } from '../../api/references.ts';
import { nameConflicts } from '../../plan/names.ts';
import type { Collection, Read } from '../objects/objects.ts';
import type { Caches } from './controller.ts';
import { movedIn, type Presences } from './presence.ts';

type Kind = Manifest['kind'];
type Identity = `${Kind} ${ObjectKey}`;
const identityOf = (object: Manifest): Identity => `${object.kind} ${keyOf(object)}`;
const claimOf = (object: Manifest): string => `${object.metadata.namespace}/${clientNameOf(object)}`;

/** Every base model is checked apart; no object can be called this. */
const noBaseModel = '';

/**
 * Which objects get the name that clients would call them by. Kept up with the caches, one name at a time: adding the
 * ten-thousandth object looks at no other than those that want its name.
 */
export class NameClaims {
  readonly #claimants = new Map<string, Map<Identity, Manifest>>();
  readonly #claims = new Map<Identity, string>();
  readonly #presences: Presences;
  /** Claims that no object gets; without a namespace before the slash: in every namespace. */
  #reserved: ReadonlySet<string>;
  readonly #listeners = new Set<(kind: Kind, key: ObjectKey) => void>();
  readonly #stops: readonly (() => void)[];

  constructor(objects: Caches, presences: Presences) {
    this.#presences = presences;
    this.#reserved = reservedBy(presences);
    const { adapters, rollouts, routes, runtimes } = objects;
    this.#stops = [
      this.#follow('Adapter', adapters),
      this.#follow('AdapterRollout', rollouts),
      this.#follow('AdapterRoute', routes),
      runtimes.onChange((change) => {
        if (movedIn(change) !== 'None') this.#followBaseModels();
      }),
    ];
  }

  close(): void {
    for (const stop of this.#stops) stop();
  }

  /** Why the object does not have its name; undefined when it has. */
  conflictOf(object: Manifest): string | undefined {
    const name = clientNameOf(object);
    if (this.#isReserved(name, claimOf(object))) {
      return `the name ${name} is reserved for the base model: choose another`;
    }
    const claimants = this.#claimants.get(claimOf(object));
    if (claimants === undefined || claimants.size < 2) return undefined;
    const identity = identityOf(object);
    return nameConflicts([...claimants.values()], noBaseModel).find(
      (conflict) => identityOf(conflict.object) === identity,
    )?.reason;
  }

  /** Called for each object that may have got or lost its name through a change of another. The result ends it. */
  onChange(listener: (kind: Kind, key: ObjectKey) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #follow<T extends Manifest>(kind: Kind, collection: Collection<T>): () => void {
    const stop = collection.onChange(({ type, key, object }) => {
      this.#set(`${kind} ${key}`, type === 'deleted' ? undefined : object);
    });
    for (const read of collection.list()) this.#set(`${kind} ${read.key}`, read);
    return stop;
  }

  #set(identity: Identity, read: Read<Manifest> | undefined): void {
    const former = this.#claims.get(identity);
    const claim = read?.object === undefined ? undefined : claimOf(read.object);
    const before = former === undefined ? undefined : this.#claimants.get(former)?.get(identity);
    if (former !== undefined) this.#leave(former, identity);
    if (read?.object !== undefined && claim !== undefined) {
      const claimants = this.#claimants.get(claim) ?? new Map<Identity, Manifest>();
      this.#claimants.set(claim, claimants.set(identity, read.object));
      this.#claims.set(identity, claim);
    } else this.#claims.delete(identity);
    if (former === claim && before?.metadata.uid === read?.object?.metadata.uid) return;
    for (const changed of new Set([former, claim])) if (changed !== undefined) this.#tell(changed, identity);
  }

  #leave(claim: string, identity: Identity): void {
    const claimants = this.#claimants.get(claim);
    claimants?.delete(identity);
    if (claimants?.size === 0) this.#claimants.delete(claim);
  }

  #tell(claim: string, except?: Identity): void {
    for (const [identity, object] of this.#claimants.get(claim) ?? []) {
      if (identity === except) continue;
      for (const listener of this.#listeners) listener(object.kind, keyOf(object));
    }
  }

  #isReserved(name: string, claim: string): boolean {
    return this.#reserved.has(`/${name}`) || this.#reserved.has(claim);
  }

  #followBaseModels(): void {
    const before = this.#reserved;
    const now = reservedBy(this.#presences);
    const changed = new Set([...now, ...before].filter((one) => now.has(one) !== before.has(one)));
    if (changed.size === 0) return;
    this.#reserved = now;
    for (const claim of this.#claimants.keys()) {
      if (changed.has(claim) || changed.has(claim.slice(claim.indexOf('/')))) this.#tell(claim);
    }
  }
}

/** The name of a base model belongs to it in every namespace that one of its runtimes serves. */
const reservedBy = (presences: Presences): Set<string> =>
  new Set(
    [...presences.baseModels()].flatMap(([scope, models]) =>
      [...models].map((model) => `${scope ?? ''}/${model}`),
    ),
  );
