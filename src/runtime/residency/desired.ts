import { type Digest, namespaceOf, type ObjectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { AdapterResource, Versioned } from '../../plan/resources.ts';
import type { Core, RequirementFor, SourceRefusal } from './core.ts';
import { Entry } from './entry.ts';
import type { Ram } from './ram.ts';
import type { Removals } from './removals.ts';
import type { Signatures } from './signatures.ts';
import { isNothing } from './strangers.ts';
import type { Work } from './work.ts';

type Resource = Versioned<AdapterResource>;

export type DesiredParts = {
  readonly core: Core;
  readonly ram: Ram;
  readonly work: Work;
  readonly removals: Removals;
  readonly signatures: Signatures;
};

/** Follows the plan: registers, updates, replaces and removes adapters; and those of single users outside it. */
export class Desired {
  readonly #parts: DesiredParts;

  constructor(parts: DesiredParts) {
    this.#parts = parts;
  }

  /**
   * The whole set of adapters that the plan has for this runtime, the sources that it allows, whose artifacts stay, and who
   * has to have signed them.
   */
  apply(
    resources: readonly Resource[],
    sourceRefusal: SourceRefusal,
    keptOnDisk: ReadonlySet<ObjectKey>,
    requirementFor: RequirementFor,
  ): void {
    const { core, work, signatures } = this.#parts;
    core.sourceRefusal = sourceRefusal;
    core.keptOnDisk = keptOnDisk;
    core.requirementFor = requirementFor;
    core.hasPlan = true;
    const wanted = new Map(resources.map((resource) => [resource.name, resource]));
    for (const entry of core.entries.values()) {
      if (entry.planned && !wanted.has(entry.key)) this.#retire(entry);
    }
    for (const resource of wanted.values()) this.#put(resource);
    for (const entry of core.entries.values())
      if (isRefused(entry) && sourceRefusal(entry.key, entry.resource.body.source) === undefined)
        work.reset(entry, 'its source is allowed now');
    for (const entry of signatures.follow()) work.reset(entry, 'others may sign it now');
    work.reconsider();
  }

  #put(resource: Resource): void {
    const { core } = this.#parts;
    const entry = core.entries.get(resource.name);
    if (entry === undefined) this.#add(resource, true);
    else if (isReplaced(entry, resource)) this.#replace(entry, resource, true);
    else this.#update(entry, resource);
  }

  #add(resource: Resource, planned: boolean): Entry {
    const { core } = this.#parts;
    const { digest, uid } = resource.body;
    const entry = new Entry(resource, planned, digest ?? core.options.resolutions.get(uid));
    // Nobody has used it; one that a request registers is about to be.
    if (!planned) entry.lastUse = core.tick();
    core.entries.set(entry.key, entry);
    return entry;
  }

  #replace(old: Entry, resource: Resource, planned: boolean): void {
    const waiters = [...old.waiters];
    old.waiters.clear();
    this.#retire(old);
    const fresh = this.#add(resource, planned);
    for (const waiter of waiters) fresh.waiters.add(waiter);
    this.#parts.work.kick(fresh);
  }

  #update(entry: Entry, resource: Resource): void {
    const before = entry.resource;
    entry.planned = true;
    if (before.version === resource.version) return;
    entry.resource = resource;
    entry.digest ??= resource.body.digest;
    // A pin by hand stays until the manifest itself says something new about it.
    if (before.body.pinned !== resource.body.pinned) entry.pinned = resource.body.pinned;
    entry.evictedByHand = false;
    if (!before.body.held && resource.body.held) {
      entry.wasResident = false;
      entry.blocked = false;
    }
    if (judged(before) !== judged(resource)) this.#parts.work.reset(entry, 'the resource changed');
  }

  /**
   * Registers an adapter that no plan has.
   * @throws QUEUE_FULL when as many as allowed are in use; ADAPTER_NOT_AVAILABLE while its source is not asked again
   */
  ensure(resource: Resource): void {
    const { core, work } = this.#parts;
    const entry = core.entries.get(resource.name);
    if (entry?.planned === true) return;
    const restMs = core.strangers.restOf({ key: resource.name, uid: resource.body.uid });
    if (entry === undefined) {
      if (restMs !== undefined && restMs > 0) {
        const what = `adapter ${resource.name} cannot serve: its source had none a moment ago`;
        throw new AdaptletError('ADAPTER_NOT_AVAILABLE', what, { retryAfterMs: restMs });
      }
      if (!this.#makePlace(resource.name, true)) {
        const what = `all ${this.#maxDynamic} adapters of single users are in use`;
        throw new AdaptletError('QUEUE_FULL', what, { retryAfterMs: 1_000 });
      }
      this.#add(resource, false);
    } else if (entry.uid === resource.body.uid) {
      entry.lastUse = core.tick();
      if ((restMs ?? 0) === 0 && hadNothing(entry)) work.reset(entry, 'its source may have it now');
    } else this.#replace(entry, resource, false);
  }

  get #maxDynamic(): number {
    return this.#parts.core.options.maxDynamic ?? 256;
  }

  /** Registers an adapter that no plan has, and that nobody asked for, where nothing has to leave RAM for it. */
  expect(resource: Resource): void {
    const { core } = this.#parts;
    const { uid } = resource.body;
    if (core.entries.has(resource.name)) return;
    if (
      core.options.resolutions.get(uid) === undefined &&
      !core.strangers.mayGuess({ key: resource.name, uid })
    )
      return;
    if (!this.#makePlace(resource.name, false)) return;
    this.#add(resource, false).lastUse = 0;
  }

  /**
   * Of the namespace that has most of them one that is not in use: one that is not in RAM, used longest ago, or the one that is
   * worth its place there least. False: there is none.
   */
  #makePlace(newcomer: ObjectKey, alsoInRam: boolean): boolean {
    const { core } = this.#parts;
    const dynamic = [...core.entries.values()].filter((entry) => !entry.planned);
    if (dynamic.length < this.#maxDynamic) return true;
    const countOf = countBy([newcomer, ...dynamic.map(({ key }) => key)], namespaceOf);
    const count = ({ key }: Entry): number => countOf.get(namespaceOf(key)) ?? 0;
    const worth = (entry: Entry): number => (isInRam(entry) ? core.worth(entry) : 0);
    const [victim] = dynamic
      .filter((entry) => entry.references === 0 && entry.waiters.size === 0)
      .filter((entry) => alsoInRam || !isInRam(entry))
      .sort(
        (a, b) =>
          count(b) - count(a) ||
          Number(isInRam(a)) - Number(isInRam(b)) ||
          worth(a) - worth(b) ||
          a.lastUse - b.lastUse,
      );
    if (victim === undefined) return false;
    this.#retire(victim);
    return true;
  }

  /** Unregister, drain, unload, and only then the disk: nothing is freed that is referenced. */
  #retire(entry: Entry): void {
    const { core, ram, work } = this.#parts;
    core.entries.delete(entry.key);
    core.retiring.add(entry);
    const removed = new AdaptletError(
      'MODEL_NOT_FOUND',
      `adapter ${entry.key} was removed from this runtime`,
    );
    entry.cancelRetry?.();
    entry.abort.abort(removed);
    work.refuse(entry, removed);
    core.prefetched.left(entry, 'disk');
    if (entry.state.kind === 'Resident') ram.drain(entry, 'removed from the plan');
    ram.pump();
    void this.#finish(entry);
  }

  async #finish(entry: Entry): Promise<void> {
    const { core, removals } = this.#parts;
    const { resolutions, logger } = core.options;
    try {
      await entry.job;
      await entry.unloading?.promise;
      core.retiring.delete(entry);
      entry.removed.resolve();
      // Else it would come onto the disk after it was looked for there.
      await entry.onDisk;
      if (removals.keep(entry)) return;
      if (![...core.all()].some((other) => other.uid === entry.uid)) await resolutions.forget(entry.uid);
      await removals.collect(entry);
    } catch (error) {
      logger.error({ err: error, key: entry.key }, 'an adapter could not be removed completely');
    }
  }
}

const countBy = <T>(items: readonly T[], keyOf: (item: T) => string): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1);
  return counts;
};

const isInRam = ({ charge }: Entry): boolean => charge > 0;

/** Its source said so, and nothing else is known of it. */
const hadNothing = ({ digest, state }: Entry): boolean =>
  digest === undefined && state.kind === 'Failed' && isNothing(state.failure.code);

const isRefused = ({ state }: Entry): boolean =>
  state.kind === 'Failed' && state.failure.code === 'SOURCE_NOT_ALLOWED';

/** Another object or another content under the same name: nothing of the old one may be taken over. */
const isReplaced = (entry: Entry, { body }: Resource): boolean => {
  const before = entry.resource.body;
  if (body.uid !== entry.uid || body.baseModel !== before.baseModel) return true;
  if (body.baseModelDigests.join() !== before.baseModelDigests.join()) return true;
  return body.digest !== undefined && differs(body.digest, entry);
};

const differs = (digest: Digest, entry: Entry): boolean =>
  entry.digest === undefined ? entry.state.kind === 'Fetching' : digest !== entry.digest;

/** What a verdict about an adapter depends on. */
const judged = ({ body }: Resource): string =>
  JSON.stringify([body.uid, body.source, body.digest, body.validation]);
