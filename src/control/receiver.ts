import { AdaptletError } from '../errors/adaptlet-error.ts';
import type {
  Held,
  HeldList,
  Commit as WireCommit,
  Resource as WireResource,
} from '../gen/adaptlet/control/v1/control.ts';
import { type Plan, resourceKey, type Versioned } from '../plan/resources.ts';
import type { Clock } from '../time/clock.ts';
import { type HeldPlan, noHeldPlan } from './held-plan.ts';
import { heldHashOfPlan, heldPartHashes } from './held-versions.ts';
import { arePartHashes, partOf, samePartsOf } from './parts.ts';
import { type RemovalLimits, Removals, type RemovalsHeld, removalLimits, without } from './removals.ts';
import { covers, followed, noRevision, type Revision, revisionFromWire, revisionText } from './revision.ts';
import { type FromWire, maxBodyBytes, type Refusal, refusalOf, resourceFromWire } from './wire.ts';

export type ReceiverLimits = RemovalLimits & { readonly maxBodyBytes: number; readonly maxResources: number };

const receiverLimits: ReceiverLimits = { ...removalLimits, maxBodyBytes, maxResources: 20_000 };

/** What is in force, after a step. `changed`: the plan is another one than before the step. */
export type InForce = {
  readonly plan: Plan;
  readonly changed: boolean;
  /** What is held back: call {@link Receiver.removalsDue} after `remainingMs`, and report it. */
  readonly removals: RemovalsHeld | undefined;
};

/** `Rejected`: nothing of the commit is in force, and the stream has to be closed. */
export type Committed =
  | ({ readonly outcome: 'Applied'; readonly refused: readonly Refusal[] } & InForce)
  | { readonly outcome: 'Rejected'; readonly why: 'Stale' | 'Protocol'; readonly reason: string };

/** Why a runtime does not take a resource that is well-formed; undefined: it does. */
export type Check = (resource: Versioned) => string | undefined;

/** The commits of one stream, from its Welcome on. */
type Session = { lastNonce: bigint };

/**
 * The runtime's side: what it holds, and how a stream changes that.
 *
 * For each stream: `hello`, `welcome`, then puts, removes and commits in the order of the stream, and `broken` at its
 * end. Messages of a former stream must not be given to it any more. After a commit that applied: act on the plan, then
 * persist `held()`, then answer. What the disk refuses is answered too: a newer plan must not wait for it
 * (docs/adr/0029).
 *
 * Guarantees:
 * - The plan is always one that a commit made, as a whole: between commits nothing changes, and a resource that is
 *   refused stays as it was.
 * - The revision never falls while the cluster is the same. The next process begins with that of `held`.
 * - Only one cluster is followed, until {@link Receiver.trust}.
 */
export class Receiver {
  readonly #limits: ReceiverLimits;
  readonly #check: Check;
  readonly #removals: Removals;
  #plan: Plan;
  #revision: Revision;
  #clusterUid: string;
  #session: Session | undefined;
  /** Of the commit that is being received, by key. */
  #staged = new Map<string, FromWire | 'Remove'>();

  /** `held`: what an earlier process persisted. */
  constructor({
    held = noHeldPlan,
    clock,
    check = () => undefined,
    limits = {},
  }: {
    readonly held?: HeldPlan;
    readonly clock: Clock;
    readonly check?: Check;
    readonly limits?: Partial<ReceiverLimits>;
  }) {
    this.#limits = { ...receiverLimits, ...limits };
    this.#check = check;
    this.#removals = new Removals(clock, held.removals, this.#limits);
    this.#plan = sorted(held.resources.map((resource) => [resourceKey(resource), resource]));
    this.#revision = held.revision;
    this.#clusterUid = held.clusterUid;
  }

  /** In force. Another object after each change, never changed itself; in the order of keys. */
  get plan(): Plan {
    return this.#plan;
  }

  /** Of the last commit that applied. */
  get revision(): Revision {
    return this.#revision;
  }

  /** The cluster that it follows; '': none yet. */
  get clusterUid(): string {
    return this.#clusterUid;
  }

  /** Removals that the present stream asked for and that are held back. */
  get removals(): RemovalsHeld | undefined {
    return this.#removals.held(this.#plan);
  }

  /** What to persist. While removals are held back also from time to time: the time that is left is in it. */
  held(): HeldPlan {
    return {
      clusterUid: this.#clusterUid,
      revision: this.#revision,
      resources: [...this.#plan.values()],
      removals: this.#removals.waiting(),
    };
  }

  /** A stream begins: what its Hello says about the plan, with {@link heldHash} or {@link heldList}. */
  hello(): { readonly clusterUid: string; readonly revision: Revision } {
    this.broken();
    return { clusterUid: this.#clusterUid, revision: this.#revision };
  }

  /** Of everything that it holds; see {@link heldHashOfPlan}. */
  heldHash(): Buffer {
    return heldHashOfPlan(this.#plan);
  }

  heldList(): Held[] {
    return [...this.#plan].map(([key, { version }]) => ({ key, version }));
  }

  /** The list without the parts of which the operator has the hash; none: with everything. */
  heldListWithout(partHashes: readonly Uint8Array[]): HeldList {
    const held = this.heldList();
    if (!arePartHashes(partHashes)) return { held, sameParts: [] };
    const parts = partHashes.length;
    const sameParts = samePartsOf(heldPartHashes(this.#plan, parts), partHashes);
    const isSame = new Set(sameParts);
    return { held: held.filter(({ key }) => !isSame.has(partOf(key, parts))), sameParts };
  }

  /**
   * The operator answered. The first cluster is trusted.
   * @throws CLUSTER_UNTRUSTED when it is of another cluster, or says of none
   */
  welcome(clusterUid: string): void {
    if (clusterUid === '' || (this.#clusterUid !== '' && clusterUid !== this.#clusterUid)) {
      const other = clusterUid === '' ? 'names no cluster' : `is of the cluster ${clusterUid.slice(0, 64)}`;
      const mine = this.#clusterUid === '' ? 'none yet' : this.#clusterUid;
      throw new AdaptletError('CLUSTER_UNTRUSTED', `The operator ${other}, this runtime follows ${mine}`);
    }
    this.#clusterUid = clusterUid;
    this.#staged.clear();
    this.#removals.connected();
    this.#session = { lastNonce: 0n };
  }

  /** Forgets the cluster, so that the next one is trusted. The plan stays in force. The stream has to be closed. */
  trust(): void {
    this.broken();
    this.#clusterUid = '';
    this.#revision = noRevision;
    this.#removals.clear();
  }

  put(wire: WireResource): void {
    this.#stage(wire.key, this.#checked(resourceFromWire(wire, this.#limits.maxBodyBytes)));
  }

  remove(key: string): void {
    this.#stage(key, 'Remove');
  }

  /** Everything since the last commit takes effect, except what is refused or held back; or nothing does. */
  commit(commit: Pick<WireCommit, 'nonce' | 'revision' | 'confirmedRemovals'>): Committed {
    const staged = this.#staged;
    this.#staged = new Map();
    const session = this.#session;
    const revision = followed(revisionFromWire(commit.revision), this.#revision);
    if (session === undefined) return this.#rejected('Protocol', 'there was no Welcome on this stream');
    if (commit.nonce !== session.lastNonce + 1n) {
      return this.#rejected('Protocol', `commit ${commit.nonce} came after ${session.lastNonce}`);
    }
    if (staged.size > 2 * this.#limits.maxResources) {
      return this.#rejected('Protocol', `one commit has more than ${2 * this.#limits.maxResources} changes`);
    }
    if (!covers(revision, this.#revision)) {
      const seen = revisionText(this.#revision);
      return this.#rejected('Stale', `the replica has seen ${revisionText(revision)}; this runtime ${seen}`);
    }
    session.lastNonce = commit.nonce;
    this.#revision = revision;
    const { planned, refused, isSorted } = this.#planned(staged);
    const gone = this.#removals.decide({
      before: this.#plan,
      planned,
      put: new Set([...staged].filter(([, change]) => change !== 'Remove').map(([key]) => key)),
      removes: [...staged].filter(([, change]) => change === 'Remove').map(([key]) => key),
      confirmed: commit.confirmedRemovals,
    });
    return { outcome: 'Applied', refused, ...this.#inForce(planned, gone, isSorted) };
  }

  /** The stream ended: what was not committed is forgotten. */
  broken(): void {
    this.#session = undefined;
    this.#staged = new Map();
    this.#removals.disconnected();
  }

  /** Lets happen what was held back for long enough; undefined when that is nothing. Act and persist as after a commit. */
  removalsDue(): InForce | undefined {
    const due = this.#removals.due();
    return due.size === 0 ? undefined : this.#inForce(this.#plan, due);
  }

  /** A person on this node lets happen what is held back; undefined when that is nothing. As {@link removalsDue}. */
  confirmRemovals(): InForce | undefined {
    const confirmed = this.#removals.confirm();
    return confirmed.size === 0 ? undefined : this.#inForce(this.#plan, confirmed);
  }

  #stage(key: string, change: FromWire | 'Remove'): void {
    // One more than may be: the commit says no, and memory stays bounded until it comes.
    if (this.#staged.size <= 2 * this.#limits.maxResources) this.#staged.set(key, change);
  }

  #checked(read: FromWire): FromWire {
    if ('refusal' in read) return read;
    const { resource } = read;
    const reason = this.#reasonAgainst(resource);
    return reason === undefined
      ? read
      : { refusal: refusalOf({ key: resourceKey(resource), version: resource.version }, reason) };
  }

  /** A check that fails is about this resource: the others of the commit must not suffer. */
  #reasonAgainst(resource: Versioned): string | undefined {
    try {
      return this.#check(resource);
    } catch (error) {
      return `the check of it failed: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  /** `planned` is the plan in force itself where nothing is put; not `isSorted`: something new is at its end. */
  #planned(staged: ReadonlyMap<string, FromWire | 'Remove'>): {
    planned: Plan;
    refused: Refusal[];
    isSorted: boolean;
  } {
    const refused: Refusal[] = [];
    let copy: Map<string, Versioned> | undefined;
    for (const [key, change] of staged) {
      if (change === 'Remove') continue;
      const planned = copy ?? this.#plan;
      if ('refusal' in change) refused.push(change.refusal);
      else if (!planned.has(key) && planned.size >= this.#limits.maxResources) {
        const reason = `this runtime holds ${planned.size} resources already, the most that it takes`;
        refused.push(refusalOf({ key, version: change.resource.version }, reason));
      } else if (planned.get(key)?.version !== change.resource.version) {
        copy ??= new Map(this.#plan);
        copy.set(key, change.resource);
      }
    }
    const planned = copy ?? this.#plan;
    return { planned, refused, isSorted: planned.size === this.#plan.size };
  }

  /** `gone` are keys of the plan before. */
  #inForce(planned: Plan, gone: ReadonlySet<string>, isSorted = true): InForce {
    const before = this.#plan;
    const plan = without(planned, gone);
    const changed = plan !== before;
    if (changed) {
      this.#removals.replaced(before);
      this.#plan = isSorted ? plan : sorted([...plan]);
    }
    return { plan: this.#plan, changed, removals: this.removals };
  }

  #rejected(why: 'Stale' | 'Protocol', reason: string): Committed {
    this.broken();
    return { outcome: 'Rejected', why, reason };
  }
}

const sorted = (entries: readonly (readonly [string, Versioned])[]): Plan =>
  new Map(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
