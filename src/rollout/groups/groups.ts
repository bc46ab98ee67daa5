import type { GroupStatus } from '../../api/group-status.ts';
import type { Group } from '../../api/groups.ts';
import type { RolloutObject } from '../../api/objects.ts';
import type { RolloutSpec, Step } from '../../api/rollout.ts';
import type { Draft } from '../draft.ts';
import type { AdapterFact, Facts, RuntimeFact, RuntimePart } from '../facts.ts';
import { durationOf, firstStep } from '../step-state.ts';
import { freshGroups, groupsOf, isOf } from './group-list.ts';
import { type Entrant, reachOf } from './membership.ts';
import { type GroupTally, tallyOf } from './tally.ts';

/** The groups of one decision: who is in them, what is known of them, and where each of them stands in the draft. */
export class Groups {
  readonly specs: readonly Group[];
  /** Wall time in milliseconds. */
  readonly now: number;
  readonly #draft: Draft;
  readonly #spec: Pick<RolloutSpec, 'groups' | 'progressDeadline' | 'progressDeadlineAbort'>;
  readonly #runtimes: readonly RuntimeFact[];
  #known:
    | { readonly bounds: string; readonly parts: ReadonlyMap<string, readonly RuntimePart[]> }
    | undefined;

  constructor(
    draft: Draft,
    { spec }: Pick<RolloutObject, 'spec'>,
    { runtimes }: Pick<Facts, 'runtimes'>,
    now: number,
  ) {
    this.#draft = draft;
    this.#spec = spec;
    this.now = now;
    this.specs = runtimes === undefined ? [] : groupsOf(spec);
    this.#runtimes = this.specs.length === 0 ? [] : (runtimes ?? []);
  }

  get areUsed(): boolean {
    return this.specs.length > 0;
  }
  get list(): readonly GroupStatus[] {
    return this.#draft.groups ?? [];
  }
  /** The first that has not succeeded, with what the spec says of it: the one whose weight and step the rollout shows. */
  get present(): { readonly group: GroupStatus; readonly spec: Group } | undefined {
    const index = this.list.findIndex(({ phase }) => phase !== 'Succeeded');
    const [group, spec] = [this.list[index], this.specs[index]];
    return group === undefined || spec === undefined ? undefined : { group, spec };
  }
  get begun(): readonly GroupStatus[] {
    return this.list.filter(({ phase }) => phase !== 'Pending');
  }

  /** True when the groups of before are not those of the spec any more. */
  get areEdited(): boolean {
    const { groups } = this.#draft;
    return groups !== undefined && !(this.areUsed && isOf(groups, this.specs));
  }
  /** Groups none of which has begun. */
  restart(steps: readonly Step[]): void {
    this.#draft.groups = freshGroups(this.specs);
    if (this.#draft.step?.full === true) return;
    this.#draft.weight = 0;
    this.#draft.mirror = 0;
    this.#draft.step = firstStep(steps);
  }

  /** The rollout shows where the present group is. */
  showPresent(steps: readonly Step[]): void {
    const group = this.present?.group;
    if (group === undefined) return;
    this.#draft.weight = group.weight;
    this.#draft.mirror = 0;
    this.#draft.step = { ...firstStep(steps), index: group.step };
  }

  specOf(name: string): Group | undefined {
    return this.specs.find((spec) => spec.name === name);
  }

  change(name: string, change: Partial<GroupStatus>): void {
    this.#draft.groups = this.list.map((group) => (group.name === name ? withChange(group, change) : group));
  }

  /**
   * Writes down how many runtimes are in which state. With the canary given up, every group is back on stable in the same
   * decision.
   */
  count(target: AdapterFact | undefined): void {
    if (this.#draft.abort !== undefined)
      for (const { name } of this.begun) this.change(name, { phase: 'RolledBack', weight: 0 });
    if (target === undefined) return;
    for (const group of this.begun) {
      const runtimes = this.tally(group, target)?.runtimes;
      if (runtimes !== undefined) this.change(group.name, { runtimes });
    }
  }

  /** What the deadline of the rollout is about: the group that is under way. */
  awaited(target: AdapterFact | undefined) {
    const { present } = this;
    const tally = target && present && this.tally(present.group, target);
    if (present === undefined || tally === undefined) return {};
    const { progressDeadlineAbort } = this.#spec;
    return {
      fact: tally.fact,
      spec: { progressDeadline: this.deadlineOf(present.spec), progressDeadlineAbort },
    };
  }

  deadlineOf({ progressDeadline }: Pick<Group, 'progressDeadline'>): string {
    return progressDeadline ?? this.#spec.progressDeadline;
  }

  tally(group: GroupStatus, target: AdapterFact): GroupTally | undefined {
    const spec = this.specOf(group.name);
    if (spec === undefined) return undefined;
    const parts = this.#partsOf(group);
    return tallyOf({
      group,
      spec,
      open: factsIn(parts.filter(({ isOpen }) => isOpen)),
      waiting: factsIn(parts.filter(({ isOpen }) => !isOpen)),
      others: this.#othersOf(group),
      target,
      deadlineMs: durationOf(this.deadlineOf(spec)) ?? Number.POSITIVE_INFINITY,
      now: this.now,
    });
  }

  /** How far the group would reach that begins now. */
  reachOf(spec: Group): number {
    return reachOf(spec, this.begun, this.#entrants());
  }
  /** Runtimes that are in no group that has begun, and that the selector matches. */
  isAnybodyFor(spec: Group): boolean {
    return (
      reachOf(
        spec,
        this.begun,
        this.#entrants().map((one) => ({ ...one, isConnected: true })),
      ) > 0
    );
  }
  /** Runtimes in the order in which a group that reaches so far opens to them, from where it is open to now. */
  openTo(group: GroupStatus, more: number): number | undefined {
    const waiting = this.#partsOf(group)
      .filter(({ isOpen, runtimes }) => !isOpen && runtimes.isConnected)
      .flatMap(({ runtimes }) => runtimes.candidates())
      .toSorted((a, b) => a.point - b.point);
    const last = waiting[more - 1];
    // Everybody who is there has it: the group is open to those who come as well.
    return last === undefined || waiting.length <= more ? undefined : last.point + 1;
  }

  /** Takes a look at each runtime: when a group begins. */
  #entrants(): readonly Entrant[] {
    return this.#runtimes.flatMap(({ candidates, isConnected }) =>
      candidates().map((one) => ({ ...one, isConnected })),
    );
  }

  #partsOf(group: GroupStatus): readonly RuntimePart[] {
    return this.#parts.get(group.name) ?? [];
  }

  /** Runtimes on stable alone; where all have the canary, those of the other groups. */
  #othersOf(group: GroupStatus): readonly RuntimeFact[] {
    const parts = this.#parts;
    const onStable = parts.get('') ?? [];
    return factsIn(
      onStable.length > 0 ? onStable : [...parts].flatMap(([name, all]) => (name === group.name ? [] : all)),
    );
  }

  /** By the name of the group; '' for none. Looked up once for as long as no group reaches other runtimes. */
  get #parts(): ReadonlyMap<string, readonly RuntimePart[]> {
    const bounds = this.list.map(({ reach, open }) => `${reach} ${open}`).join();
    if (this.#known?.bounds !== bounds) {
      const all = this.#runtimes.flatMap(({ parted }) => parted(this.list));
      this.#known = { bounds, parts: Map.groupBy(all, ({ group }) => group?.name ?? '') };
    }
    return this.#known.parts;
  }
}

const factsIn = (parts: readonly RuntimePart[]): readonly RuntimeFact[] =>
  parts.map(({ runtimes }) => runtimes);

/** A field that becomes undefined is not there. */
const withChange = (group: GroupStatus, change: Partial<GroupStatus>): GroupStatus => {
  const { open, accepted, ...rest } = { ...group, ...change };
  return {
    ...rest,
    ...(open === undefined ? {} : { open }),
    ...(accepted === undefined ? {} : { accepted }),
  };
};
