import type { Refusal as WireRefusal } from '../gen/adaptlet/control/v1/control.ts';
import type { Plan, Versioned } from '../plan/resources.ts';
import { resourceKey } from '../plan/resources.ts';
import { HeldVersions, heldHashOfLayers, type Layers, layerPartHashes, noLayers } from './held-versions.ts';
import { isClientName, namespaceOf } from './key.ts';
import { partOf, partsNamed } from './parts.ts';
import { covers, type Revision } from './revision.ts';
import { differenceOf, type Selection, selectionOf } from './selection.ts';
import { maxSubscriptions } from './subscriptions.ts';

/** What a runtime should hold, as this replica sees it now. */
export type Target = {
  /** Everything that was compiled for the runtime; the sender chooses what it is sent. */
  readonly plan: Plan;
  /** How far the replica had seen the objects that the plan was compiled from. */
  readonly revision: Revision;
  /**
   * Resource keys that must neither change nor go, because their object is there and not valid now. While a Split or a
   * Route is among them, adapters of its namespace that nothing else wants stay as they are too: it may be what wants
   * them. An Adapter that is deleted goes.
   */
  readonly withheld: ReadonlySet<string>;
  /** Present: resource keys that may change; all others neither change nor go. */
  readonly only?: ReadonlySet<string> | undefined;
  /** False: not now. The key is asked about again the next time. */
  readonly mayRemove: (key: string) => boolean;
  /** Fingerprint of the removals that a person confirmed; '': none. */
  readonly confirmedRemovals: string;
};

/** One change: everything in it goes out in one go, `commit` last. */
export type Batch = {
  readonly puts: readonly Versioned[];
  readonly removes: readonly string[];
  /** Subscribed names that nothing has: the subscription to them ends. */
  readonly unknown: readonly string[];
  readonly commit: {
    readonly nonce: bigint;
    readonly revision: Revision;
    readonly confirmedRemovals: string;
  };
};

/** What a runtime says that it holds: versions by key, or the hash of them. */
export type HeldSaid = ReadonlyMap<string, string> | { readonly hash: Buffer };

/** Removed keys that are remembered of every runtime. */
const leastRemembered = 1024;

export type Refused = { readonly version: string; readonly reason: string };

/**
 * The operator's side of one stream: knows what the runtime holds and what to send next. A new one for each stream.
 *
 * Guarantees:
 * - One batch is unanswered at a time. What happens meanwhile is one difference afterwards: a slow runtime gets the
 *   newest state and never a queue of old ones.
 * - What the runtime holds at that version is not sent; what it refused is not sent again at that version.
 * - Nothing is sent from a state that has not seen what the runtime has.
 * - A hash is taken for a plan that has it and for no other. Where there is none the runtime is asked for the list, once.
 */
export class Sender {
  /** Undefined: only its hash is known. */
  #held: HeldVersions | undefined;
  readonly #hash: Buffer | undefined;
  #former: HeldVersions | undefined;
  #asking: 'No' | 'Due' | 'Asked' = 'No';
  /** What the runtime compares with what it holds, and the hashes of its parts. */
  #asked: { readonly layers: Layers; readonly hashes: readonly Buffer[] } = { layers: noLayers, hashes: [] };
  /**
   * Keys that the runtime was told to remove, the last one last: it may hold them back, so they may be there still. The last 1,024, or
   * as many as one commit removed: a stream may go on for months.
   */
  readonly #removed = new Set<string>();
  #mostRemoved = leastRemembered;
  readonly #refused = new Map<string, Refused>();
  /** What was looked at last, and the keys at which the runtime did not hold exactly that. */
  #before = noLayers;
  #open = new Set<string>();
  #reached: Revision;
  #subscriptions: Set<string>;
  #confirmed = '';
  #nonce = 0n;
  #batch: Batch | undefined;

  /**
   * All from the Hello. `held` is copied; `subscriptions` is checked as {@link subscribe} does.
   * `former`: what the runtime held when its stream before this one ended, as far as that is known.
   */
  constructor({
    held,
    revision,
    subscriptions,
    former,
  }: {
    readonly held: HeldSaid;
    readonly revision: Revision;
    readonly subscriptions: Iterable<string>;
    readonly former?: HeldVersions | undefined;
  }) {
    if ('hash' in held) {
      this.#hash = held.hash;
      this.#former = former;
    } else this.#known(new HeldVersions(noLayers, held));
    this.#reached = revision;
    this.#subscriptions = namesOf(subscriptions);
  }

  /** What the runtime holds; undefined: it is not known yet. */
  get held(): HeldVersions | undefined {
    return this.#held ?? this.#former;
  }

  /** False: the hash of what it holds was not recognised yet. */
  get isKnown(): boolean {
    return this.#held !== undefined;
  }

  /**
   * Once: the runtime has to be asked for the list of what it holds. It need not list the parts of which it has these hashes;
   * none: all of it. Undefined: it need not be asked.
   */
  asks(): readonly Buffer[] | undefined {
    if (this.#asking !== 'Due') return undefined;
    this.#asking = 'Asked';
    return this.#asked.hashes;
  }

  /**
   * The runtime answered with the list; it is copied. `sameParts`: it holds exactly what it was asked about.
   * False: it was not asked, or for something else.
   */
  listed(held: ReadonlyMap<string, string>, sameParts: readonly number[] = []): boolean {
    if (this.#asking !== 'Asked' || this.#held !== undefined) return false;
    const { layers, hashes } = this.#asked;
    const same = partsNamed(sameParts, hashes.length);
    if (same === undefined) return false;
    const isSame = (key: string): boolean => same.size > 0 && same.has(partOf(key, hashes.length));
    if ([...held.keys()].some(isSame)) return false;
    this.#asked = { layers: noLayers, hashes: [] };
    if (same.size === 0) this.#known(new HeldVersions(noLayers, held));
    else {
      const known = new HeldVersions(layers);
      const others = [...layers.base.keys(), ...layers.extra.keys()].filter((key) => !isSame(key));
      for (const key of new Set([...others, ...held.keys()])) known.set(key, held.get(key));
      this.#known(known);
    }
    return true;
  }

  /** The revision of the last commit that the runtime answered; before that, of its Hello. */
  get reached(): Revision {
    return this.#reached;
  }

  /** Names that the runtime asks for; the set of a later `subscribe` is another one. */
  get subscriptions(): ReadonlySet<string> {
    return this.#subscriptions;
  }

  /** What the runtime refuses now, by resource key. */
  get refused(): ReadonlyMap<string, Refused> {
    return this.#refused;
  }

  /** True while a batch is not answered. */
  get inFlight(): boolean {
    return this.#batch !== undefined;
  }

  /** True when the runtime has seen something that this state has not: the replica waits, and gives up after a while. */
  behind({ revision }: Pick<Target, 'revision'>): boolean {
    return !covers(revision, this.#batch?.commit.revision ?? this.#reached);
  }

  /**
   * Every name that the runtime asks for; replaces the former ones. What is not a name is left out. A name that nothing
   * has is answered once (`Batch.unknown`), which ends the subscription to it.
   */
  subscribe(names: Iterable<string>): void {
    this.#subscriptions = namesOf(names);
  }

  /**
   * What to send to come to the target; it counts as sent. Undefined: nothing differs, a batch is unanswered, the
   * state is behind the runtime, or what it holds is not known: see {@link asks}.
   */
  next(target: Target): Batch | undefined {
    if (this.#batch !== undefined || this.behind(target)) return undefined;
    const selection = selectionOf(target.plan, this.#subscriptions);
    const held = this.#held ?? this.#recognised(selection);
    if (held === undefined) return undefined;
    const { puts, removes } = this.#changes(held, selection, target);
    const unknown = this.#unknown(selection.unknown, target.withheld);
    const confirms = target.confirmedRemovals !== '' && target.confirmedRemovals !== this.#confirmed;
    if (puts.length + removes.length + unknown.length === 0 && !confirms) return undefined;
    this.#nonce += 1n;
    this.#confirmed = target.confirmedRemovals;
    const { revision, confirmedRemovals } = target;
    this.#batch = { puts, removes, unknown, commit: { nonce: this.#nonce, revision, confirmedRemovals } };
    return this.#batch;
  }

  /** The runtime answered. False: that commit is not the one it was sent; the stream makes no sense any more. */
  acknowledged(nonce: bigint, refused: readonly WireRefusal[]): boolean {
    const batch = this.#batch;
    const held = this.#held;
    if (held === undefined || batch === undefined || batch.commit.nonce !== nonce) return false;
    this.#batch = undefined;
    this.#reached = batch.commit.revision;
    const reasons = new Map(refused.map(({ key, reason }) => [key, reason]));
    for (const resource of batch.puts) {
      const key = resourceKey(resource);
      const reason = reasons.get(key);
      if (reason === undefined) {
        held.set(key, resource.version);
        this.#refused.delete(key);
        this.#open.delete(key);
      } else {
        this.#refused.set(key, { version: resource.version, reason });
        // The put ended the removal that was held back. Something may be there, and must go when the key does.
        if (this.#removed.has(key)) held.set(key, unknownVersion);
      }
      this.#removed.delete(key);
    }
    for (const key of batch.removes) {
      held.set(key, undefined);
      this.#open.delete(key);
      this.#removed.delete(key);
      this.#removed.add(key);
    }
    this.#mostRemoved = Math.max(this.#mostRemoved, batch.removes.length);
    for (const key of this.#removed) {
      if (this.#removed.size <= this.#mostRemoved) break;
      this.#removed.delete(key);
    }
    return true;
  }

  /** Looks who has the hash of the Hello: the plan of now, or what the runtime held before. */
  #recognised(selection: Selection): HeldVersions | undefined {
    const hash = this.#hash;
    if (hash === undefined || this.#asking !== 'No') return undefined;
    if (heldHashOfLayers(selection).equals(hash)) return this.#known(new HeldVersions(selection));
    if (this.#former?.hash().equals(hash) === true) return this.#known(this.#former.copy());
    this.#asking = 'Due';
    const { base, extra } = selection;
    this.#asked = { layers: { base, extra }, hashes: layerPartHashes({ base, extra }) };
    return undefined;
  }

  #known(held: HeldVersions): HeldVersions {
    this.#held = held;
    this.#former = undefined;
    this.#before = held.layers;
    this.#open = new Set(held.unlike);
    return held;
  }

  #changes(
    known: HeldVersions,
    { base, extra }: Selection,
    { withheld, only, mayRemove, plan }: Target,
  ): Changes {
    const keeps = keeping(withheld, only);
    const open = new Set<string>();
    const puts: Versioned[] = [];
    const removes: string[] = [];
    for (const key of this.#candidates(base, extra).sort()) {
      const held = known.get(key);
      const wanted = extra.get(key) ?? base.get(key);
      if (held !== wanted?.version) open.add(key);
      if (wanted === undefined || held === wanted.version) this.#refused.delete(key);
      if (wanted === undefined) {
        if (held !== undefined && !keeps(key, plan.get(key)) && mayRemove(key)) removes.push(key);
      } else if (held !== wanted.version && this.#refused.get(key)?.version !== wanted.version) {
        if (!keeps(key, held === undefined ? undefined : wanted)) puts.push(wanted);
      }
    }
    this.#open = open;
    this.#before = { base, extra };
    // The plan of before is let go, and what this runtime has of its own stays small.
    known.rebase(this.#before, open);
    return { puts, removes };
  }

  /** Every key at which something can differ. Most plans differ little from the one before. */
  #candidates(base: Plan, extra: Plan): string[] {
    const before = this.#before;
    const keys = [...this.#open, ...before.extra.keys(), ...differenceOf(before.base, base)];
    return [...new Set([...keys, ...extra.keys()])];
  }

  /** An answer ends the subscription: the runtime forgets the name, and asks anew with the next request for it. */
  #unknown(names: readonly string[], withheld: ReadonlySet<string>): string[] {
    if (names.length === 0) return [];
    const exists = (name: string): boolean =>
      withheld.has(`AdapterSpec ${name}`) || withheld.has(`Split ${name}`) || withheld.has(`Route ${name}`);
    const unknown = names.filter((name) => !exists(name));
    for (const name of unknown) this.#subscriptions.delete(name);
    return unknown;
  }
}

type Changes = Pick<Batch, 'puts' | 'removes'>;

/** Of what the runtime holds or does not hold: no version equals it. */
const unknownVersion = '';

/** Whether a key stays as it is on the runtime. `next`: what the plan has for a key that the runtime holds. */
type Keeps = (key: string, next: Versioned | undefined) => boolean;

const keeping = (withheld: ReadonlySet<string>, only: ReadonlySet<string> | undefined): Keeps => {
  // Rights that no plan has any more end on runtimes that are held, too.
  if (only !== undefined)
    return (key) => withheld.has(key) || !(only.has(key) || /^(Policy|Keys) /.test(key));
  if (withheld.size === 0) return () => false;
  const users = new Set([...withheld].filter((key) => !/^(AdapterSpec|Keys) /.test(key)).map(namespaceOf));
  return (key, next) =>
    withheld.has(key) ||
    (next?.type === 'AdapterSpec' &&
      next.body.tier === 'None' &&
      !next.body.held &&
      users.has(namespaceOf(key)));
};

const namesOf = (names: Iterable<string>): Set<string> =>
  new Set([...names].filter(isClientName).slice(-maxSubscriptions));
