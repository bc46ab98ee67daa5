import { type ObjectKey, objectKey } from '../../api/names.ts';
import type { BoundAdapter } from '../../api/rollout-status.ts';
import { type Change, changesBetween } from '../../plan/changes.ts';
import { type Plan, resourceKey, type SplitResource, type Versioned } from '../../plan/resources.ts';
import type { Transition } from '../residency/core.ts';
import type { Residency } from '../residency/manager.ts';
import {
  buildTable,
  partsOf,
  type RoutingTable,
  signatureOf,
  sourceRefusalOf,
  tableAfter,
} from '../routing/table.ts';
import type { RolloutCounts } from '../serving/counts/rollout-counts.ts';
import type { Guard } from '../serving/guard/guard.ts';
import type { Trials } from '../serving/guard/trials.ts';
import type { Quotas } from '../serving/quotas/quotas.ts';
import type { Kept } from '../state/kept.ts';
import { type HandoverFacts, keptOf, withKept } from './handover.ts';

export type PlanParts = {
  readonly residency: Residency;
  readonly guard: Pick<Guard, 'follow'>;
  readonly counts: Pick<RolloutCounts, 'follow'>;
  readonly quotas: Pick<Quotas, 'follow'>;
  /** Called when another plan is in force. */
  readonly changed?: () => void;
  readonly baseModel: string;
  /** Absent: nothing is on trial. */
  readonly trials?: Pick<Trials, 'follow'> | undefined;
  /** What goes on serving until the stable of the plan is here. Absent: every plan is followed to the letter at once. */
  readonly handover?: {
    readonly facts: HandoverFacts;
    readonly remembered: readonly Kept[];
    /** Resolves once it survives a restart. */
    readonly write: (kept: readonly Kept[]) => Promise<void>;
  };
};

/**
 * The plan that this runtime follows: what requests are routed by, what residency holds, which guards watch.
 *
 * Guarantees: a request sees the table of one plan, as a whole; a stable that is not here yet takes nothing out of service.
 * What only some resources have otherwise in the next plan is worked on for these; of the others it is seen that they are the same.
 */
export class PlanInForce {
  readonly #parts: PlanParts;
  /** Of the plan in force, by uid. */
  readonly #rollouts = new Map<string, SplitResource['body']>();
  /** With what residency was told last; undefined: it was told nothing. */
  #keptTold: ReadonlyMap<ObjectKey, Kept> | undefined;
  #table: RoutingTable;
  /** As it was given. */
  #plan: Plan = new Map();
  /** As this node can follow it now. */
  #followed: Plan = new Map();
  #kept: ReadonlyMap<ObjectKey, Kept>;
  #saved: Promise<void> = Promise.resolve();
  /** The disk refused. */
  #isUnsaved = false;
  #looks = false;
  /** What looks changed since the last plan came. */
  readonly #looked: Change[] = [];

  constructor(parts: PlanParts) {
    this.#parts = parts;
    this.#table = buildTable(new Map(), { name: parts.baseModel });
    this.#kept = new Map((parts.handover?.remembered ?? []).map((kept) => [kept.rollout, kept]));
  }

  get table(): RoutingTable {
    return this.#table;
  }

  /** uid of the Adapter object that residency has under this key. */
  uidOf(key: ObjectKey): string | undefined {
    return this.#table.adapters.get(key)?.body.uid;
  }

  /** The stable that the plan names for a rollout, while another one serves in its place. */
  awaited(rollout: ObjectKey): BoundAdapter | undefined {
    if (!this.#kept.has(rollout)) return undefined;
    const split = this.#plan.get(resourceKey({ type: 'Split', name: rollout }));
    return split?.type === 'Split' ? split.body.stable : undefined;
  }

  /**
   * What a plan needs beside it is on the disk: write the plan after this.
   * @throws why it could not be written
   */
  saved(): Promise<void> {
    if (this.#isUnsaved) this.#save();
    return this.#saved;
  }

  /** An adapter is in another state: what serves in place of a stable may have to change. Looks soon, once for many calls. */
  moved({ to }: Pick<Transition, 'to'>): void {
    if (this.#looks || (this.#kept.size === 0 && to !== 'Failed')) return;
    this.#looks = true;
    setImmediate(() => {
      this.#looks = false;
      this.look();
    });
  }

  /** Something is held back, or in another state: decides anew what serves in place of a stable. */
  look(): void {
    if (this.#handover(this.#plan)) this.#looked.push(...this.#enforce());
  }

  /** What is in force otherwise than after the last call. */
  apply(plan: Plan): readonly Change[] {
    this.#handover(plan);
    this.#plan = plan;
    return [...this.#looked.splice(0), ...this.#enforce()];
  }

  /** Decides anew what is kept; true when that is something else. */
  #handover(plan: Plan): boolean {
    const { handover } = this.#parts;
    if (handover === undefined) return false;
    const before = this.#kept;
    const kept = keptOf(plan, { table: this.#table, kept: before }, handover.facts);
    if (kept.size === before.size && [...kept].every(([key, one]) => before.get(key) === one)) return false;
    this.#kept = kept;
    this.#save();
    return true;
  }

  #save(): void {
    this.#isUnsaved = false;
    this.#saved = this.#parts.handover?.write([...this.#kept.values()]) ?? Promise.resolve();
    // Who asks for it hears of the error, and has it tried again.
    this.#saved.catch(() => {
      this.#isUnsaved = true;
    });
  }

  #tell(): void {
    const table = this.#table;
    this.#keptTold = this.#kept;
    const kept = [...this.#kept.values()].map(({ adapter }) => adapter.name);
    this.#parts.residency.apply(
      [...table.adapters.values()],
      (key, source) => sourceRefusalOf(table, partsOf(key)[0], source),
      new Set([...kept, ...[...table.splits.values()].flatMap(formerOf)]),
      ({ name, body }) => signatureOf(table, partsOf(name)[0], body),
    );
  }

  #enforce(): readonly Change[] {
    const { residency, guard, counts, quotas, trials } = this.#parts;
    const before = this.#followed;
    this.#followed = withKept(this.#plan, this.#kept);
    const changes = changesBetween(before, this.#followed);
    const splits = changes.flatMap(({ now }) => (now?.type === 'Split' ? [now] : []));
    const gone = changes.flatMap(goneRollout);
    for (const { body } of gone) this.#rollouts.delete(body.uid);
    for (const { body } of splits) this.#rollouts.set(body.uid, body);
    guard.follow(this.#rollouts);
    trials?.follow(this.#rollouts);
    counts.follow(splits, gone);
    // Routing first: from here on nothing new asks for what residency is about to drain.
    const table = this.#table;
    this.#table = tableAfter(table, this.#followed, changes);
    quotas.follow(this.#table);
    this.#parts.changed?.();
    if (this.#keptTold !== this.#kept || changes.some(concernsResidency)) this.#tell();
    for (const split of splits) {
      const again = triedAgain(table.splits.get(split.name), split);
      if (again !== undefined && residency.state(again)?.kind === 'Failed') residency.retry(again);
    }
    return changes;
  }
}

/** A rollout that is there no more, or whose name another one has. */
const goneRollout = ({ before, now }: Change): SplitResource[] =>
  before?.type === 'Split' && !(now?.type === 'Split' && now.body.uid === before.body.uid) ? [before] : [];

/** What residency does depends on no more than this: a step of a rollout costs it nothing. */
const concernsResidency = ({ before, now }: Change): boolean => {
  const type = (now ?? before)?.type;
  return type === 'AdapterSpec' || type === 'Policy' || formersIn(before) !== formersIn(now);
};

const formersIn = (resource: Versioned | undefined): string =>
  resource?.type === 'Split' ? formerOf(resource).join() : '';

/** What a rollback by hand goes back to, where nothing can be downloaded. */
const formerOf = ({ name, body: { former } }: SplitResource): ObjectKey[] =>
  former === undefined ? [] : [objectKey(partsOf(name)[0], former.adapter)];

/** The canary that a person had tried again: what this node refused in an earlier attempt counts no more. */
const triedAgain = (before: SplitResource | undefined, now: SplitResource): ObjectKey | undefined => {
  const { canary, uid } = now.body;
  const former = before?.body.canary;
  if (canary === undefined || former === undefined || before?.body.uid !== uid) return undefined;
  if (canary.uid !== former.uid || canary.attempt <= former.attempt) return undefined;
  const [namespace] = partsOf(now.name);
  return objectKey(namespace, canary.adapter);
};
