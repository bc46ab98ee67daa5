import { conditionOf } from '../../api/condition.ts';
import type { ObjectKey } from '../../api/names.ts';
import type { Selector } from '../../api/selector.ts';
import { canonicalJson } from '../../plan/canonical.ts';
import type { RuntimeKey, RuntimeState } from '../fleet/fleet.ts';
import type { ObjectChange, RuntimeObject } from '../objects/objects.ts';
import type { Policies } from '../objects/policies.ts';
import { type Restraint, restrainedSinceOf, restraintOf } from '../objects/restraint.ts';
import { type Scope, scopeOf } from '../objects/scope.ts';
import { AlikeRuntimes, type Gone, type GroupBounds, type Question, type Seen } from './alike.ts';
import { Bits } from './bits.ts';
import { type ControllerParts, graceMs } from './controller.ts';
import type { Group, Profile } from './group.ts';

/**
 * Connected: its reports count. Silent: it was connected when this term began, and may report any moment. Away: not
 * connected.
 */
export type Presence = 'Connected' | 'Silent' | 'Away';

export type PresentRuntime = {
  readonly key: RuntimeKey;
  readonly scope: Scope;
  readonly labels: Readonly<Record<string, string>>;
  /** '' while it is not known. */
  readonly baseModel: string;
  readonly presence: Presence;
  /** Wall time in milliseconds when it went away, as far as anybody knows; absent while it is not away. */
  readonly awaySince?: number | undefined;
  /** What keeps new things from it. */
  readonly restraint?: Restraint | undefined;
  /** Wall time in milliseconds since when, as written down. */
  readonly restrainedSince?: number | undefined;
  /** What it reported. */
  readonly state: RuntimeState | undefined;
};

/** Some runtimes, that are looked at one by one only where somebody has to. */
export type RuntimeSet = {
  readonly size: number;
  /** In their order. */
  keys(): readonly RuntimeKey[];
  /** In the order of their keys. */
  each(): readonly PresentRuntime[];
  only(names: ReadonlySet<string>): RuntimeSet;
  without(names: ReadonlySet<string>): RuntimeSet;
};

/** Runtimes that a question does not tell apart, see {@link Question}. None of them is nobody. */
export type AlikeGroup = Omit<Group, 'runtimes'> & {
  readonly presence: Presence;
  readonly runtimes: RuntimeSet;
};

/** Runtimes that a group of a rollout has given the canary, or not yet; undefined: that are in no group. */
export type Part<G> = {
  readonly group: G | undefined;
  readonly isOpen: boolean;
  readonly runtimes: RuntimeSet;
};

export type GroupsNow = {
  readonly groups: readonly AlikeGroup[];
  /** Milliseconds until the silent ones count as away; absent when none is silent. */
  readonly changesInMs?: number;
};

type Written = Pick<PresentRuntime, 'key' | 'labels' | 'baseModel' | 'restraint' | 'restrainedSince'> & {
  /** One of which nothing is written is taken for the less: only the operator writes a status. */
  readonly kind: 'Node' | 'Pod';
  readonly wasConnected: boolean;
  /** RFC 3339. */
  readonly disconnectedAt: string | undefined;
};

const writtenOf = (key: ObjectKey, object: RuntimeObject | undefined): Written => ({
  key,
  kind: object?.status?.kind ?? 'Pod',
  labels: object?.metadata.labels ?? {},
  baseModel: object?.status?.baseModel.name ?? '',
  restraint: object && restraintOf(object),
  restrainedSince: timeOf(object && restrainedSinceOf(object)),
  disconnectedAt: object?.status?.disconnectedAt,
  wasConnected: conditionOf(object?.status?.conditions, 'Connected')?.status === 'True',
});

const placeOf = ({ kind, labels, baseModel, restraint }: Written): string =>
  canonicalJson({ kind, labels, baseModel, restraint });

/**
 * Which namespaces a change of an AdapterRuntime concerns, as its place among those that rollouts and adapters are for;
 * `None` where its place is the same.
 */
export const movedIn = ({
  type,
  key,
  object,
  before,
}: ObjectChange<RuntimeObject>): { readonly scope: Scope } | 'None' => {
  const now = writtenOf(key, object.object);
  const then = before && writtenOf(key, before.object);
  if (type === 'updated' && then !== undefined && placeOf(now) === placeOf(then)) return 'None';
  const isOfNode = now.kind === 'Node' || then?.kind === 'Node';
  return { scope: scopeOf(isOfNode ? 'Node' : 'Pod', key) };
};

const timeOf = (text: string | undefined): number | undefined => {
  const time = Date.parse(text ?? '');
  return Number.isNaN(time) ? undefined : time;
};

type PresenceParts = Pick<ControllerParts, 'clock' | 'term' | 'objects' | 'fleet'> & {
  readonly policies: Pick<Policies, 'policyOf'>;
};

const noLabels: Written['labels'] = {};

/**
 * Every AdapterRuntime with what its runtime reported. One that has no object yet is not in it: what selects runtimes
 * selects by the labels of the object.
 *
 * Guarantee: what it says of groups is what a look at each runtime would say, at any time.
 */
export class Presences {
  readonly #parts: PresenceParts;
  readonly #written = new Map<RuntimeKey, Written>();
  readonly #alike = new AlikeRuntimes();
  readonly #bits = new WeakMap<RuntimeSet, Bits>();
  readonly #stops: (() => void)[];

  constructor(parts: PresenceParts) {
    this.#parts = parts;
    const { objects, fleet } = parts;
    const { runtimes } = objects;
    this.#stops = [
      runtimes.onChange(({ type, key, object }) => {
        if (type === 'deleted') this.#written.delete(key);
        else this.#written.set(key, writtenOf(key, object.object));
        this.#place(key);
      }),
      fleet.onChange((change) => {
        const { runtime, connection } = change;
        const state = fleet.get(runtime);
        if (state !== undefined) this.#alike.say(state, change);
        if (state !== undefined && connection) this.#alike.renew(runtime);
        this.#place(runtime);
      }),
    ];
    for (const { key, object } of runtimes.list()) {
      this.#written.set(key, writtenOf(key, object));
      this.#place(key);
    }
    for (const state of fleet.all()) {
      const [adapters, rollouts, routes] = [state.adapters, state.rollouts, state.classifiers ?? new Map()];
      this.#alike.say(state, { adapters: adapters.keys(), rollouts: rollouts.keys(), routes: routes.keys() });
    }
  }

  close(): void {
    for (const stop of this.#stops) stop();
  }

  /**
   * Those that see the objects of a namespace (its own pods, and the nodes that its policy leaves it), with those together that the
   * question does not tell apart. Costs what there are of groups.
   */
  groups(namespace: string, question: Question): GroupsNow {
    const graceLeft = this.#graceLeft();
    const groups = this.#alike
      .groups(namespace, this.nodesOf(namespace), question)
      .map((group): AlikeGroup => {
        const { isConnected, isExpected } = group.profile;
        const away = isExpected && graceLeft > 0 ? 'Silent' : 'Away';
        const presence = isConnected ? 'Connected' : away;
        return { ...group, presence, runtimes: this.#setOf(group.runtimes) };
      });
    const isAnySilent = groups.some(({ presence }) => presence === 'Silent');
    return { groups, ...(isAnySilent ? { changesInMs: graceLeft } : {}) };
  }

  /**
   * Those of some runtimes that said something new of a rollout since that was seen, one by one, in the order of their keys.
   * Costs what these are. `seen`: undefined: nothing was.
   */
  unread(
    rollout: ObjectKey,
    some: readonly RuntimeSet[],
    seen: Seen | undefined,
  ): { readonly runtimes: readonly PresentRuntime[]; readonly seen: Seen | undefined } {
    const unread = this.#alike.unread(rollout, this.#together(some), seen);
    return { runtimes: this.#setOf(unread.runtimes).each(), seen: unread.seen };
  }

  /** What some runtimes answered of a rollout while its canary had the weight that it has, together. */
  served(rollout: ObjectKey, some: readonly RuntimeSet[]): readonly [stable: bigint, canary: bigint] {
    return this.#alike.served(rollout, this.#together(some));
  }

  /**
   * Of some runtimes that are away, but for those that were cordoned or held before: those that went since then, one by one, and the
   * others, who went before or nobody knows when. Costs what the first are. `since`: wall time in milliseconds.
   */
  gone(
    some: readonly RuntimeSet[],
    since: number,
  ): { readonly lately: readonly PresentRuntime[]; readonly before: RuntimeSet } {
    const { lately, before } = this.#alike.gone(this.#together(some), since);
    return { lately: this.#setOf(lately).each(), before: this.#setOf(before) };
  }

  /** Some runtimes by the group of a rollout that each is in, the first of these that has it. */
  parted<G extends GroupBounds>(some: RuntimeSet, rolloutUid: string, groups: readonly G[]): Part<G>[] {
    return this.#alike
      .parted(this.#together([some]), rolloutUid, groups)
      .map((part) => ({ ...part, runtimes: this.#setOf(part.runtimes) }));
  }

  /** Nodes that its policy leaves to a namespace; undefined: all. */
  nodesOf(namespace: string): Selector | undefined {
    return this.#parts.policies.policyOf(namespace)?.spec.runtimes.nodes;
  }

  /** Base models of runtimes that are not away, by the scope of the runtimes. */
  present(): Iterable<readonly [Scope, string]> {
    const graceLeft = this.#graceLeft();
    return [...this.#alike.profiles()].flatMap(({ scope, baseModel, isConnected, isExpected }) =>
      isConnected || (isExpected && graceLeft > 0) ? [[scope, baseModel] as const] : [],
    );
  }

  /** Milliseconds until no runtime is silent any more; absent: none is. */
  silentForMs(): number | undefined {
    const graceLeft = this.#graceLeft();
    const isAny = [...this.#alike.profiles()].some(({ isExpected }) => isExpected);
    return isAny && graceLeft > 0 ? graceLeft : undefined;
  }

  /** Base models that runtimes have, or had when they were last here, by the scope of the runtimes. */
  baseModels(): ReadonlyMap<Scope, ReadonlySet<string>> {
    const models = new Map<Scope, Set<string>>();
    for (const { scope, baseModel } of this.#alike.profiles()) {
      if (baseModel === '') continue;
      models.set(scope, (models.get(scope) ?? new Set()).add(baseModel));
    }
    return models;
  }

  /** Undefined: it has no object. */
  of(key: RuntimeKey): PresentRuntime | undefined {
    const written = this.#written.get(key);
    if (written === undefined) return undefined;
    const { labels, baseModel, restraint, restrainedSince, wasConnected, disconnectedAt } = written;
    const state = this.#parts.fleet.get(key);
    const away = state === undefined && wasConnected && this.#graceLeft() > 0 ? 'Silent' : 'Away';
    const presence = state?.connected === true ? 'Connected' : away;
    return {
      key,
      scope: scopeOf(state?.kind ?? written.kind, key),
      labels,
      baseModel: state?.info.baseModel ?? baseModel,
      presence,
      ...(restraint === undefined ? {} : { restraint, restrainedSince }),
      ...(presence === 'Away' ? { awaySince: state?.disconnectedAt ?? timeOf(disconnectedAt) } : {}),
      state,
    };
  }

  #place(key: RuntimeKey): void {
    const written = this.#written.get(key);
    const state = this.#parts.fleet.get(key);
    const gone = written && state?.connected !== true ? goneOf(written, state) : undefined;
    this.#alike.place(key, written && profileOf(written, state), written?.labels ?? noLabels, gone);
    if (state === undefined) this.#alike.silence(key);
  }

  #graceLeft(): number {
    const { clock, term } = this.#parts;
    return term.since + graceMs - clock.monotonic();
  }

  #setOf(runtimes: Bits): RuntimeSet {
    const alike = this.#alike;
    let keys: readonly RuntimeKey[] | undefined;
    const keysNow = (): readonly RuntimeKey[] => (keys ??= alike.keysOf(runtimes));
    const set: RuntimeSet = {
      size: runtimes.size,
      keys: keysNow,
      each: () => keysNow().flatMap((key) => this.of(key) ?? []),
      only: (names) => this.#setOf(runtimes.and(alike.numbersOf(names))),
      without: (names) =>
        names.size === 0 ? this.#setOf(runtimes) : this.#setOf(runtimes.without(alike.numbersOf(names))),
    };
    this.#bits.set(set, runtimes);
    return set;
  }

  #together(some: readonly RuntimeSet[]): Bits {
    const [first = new Bits(), ...more] = some.flatMap((set) => this.#bits.get(set) ?? []);
    return more.reduce((all, bits) => all.or(bits), first);
  }
}

const goneOf = (
  { restraint, restrainedSince, disconnectedAt }: Written,
  state: RuntimeState | undefined,
): Gone => {
  const at = state?.disconnectedAt ?? timeOf(disconnectedAt);
  const wasRestrained = restraint !== undefined && (at === undefined || (restrainedSince ?? Infinity) <= at);
  return { at, wasRestrained };
};

const profileOf = (written: Written, state: RuntimeState | undefined): Profile => ({
  scope: scopeOf(state?.kind ?? written.kind, written.key),
  baseModel: state?.info.baseModel ?? written.baseModel,
  isConnected: state?.connected === true,
  isExpected: state === undefined && written.wasConnected,
  restraint: written.restraint,
  isServing: state?.ready ?? false,
  build: state?.info.baseDigest ?? '',
  memoryBytes: state?.memory.budgetBytes ?? 0,
  diskBytes: state?.disk.budgetBytes ?? 0,
  maxRank: state?.info.maxRank ?? 0,
  tellsClassifiers: state?.classifiers !== undefined,
});
