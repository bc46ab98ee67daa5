import type { ObjectKey } from '../../api/names.ts';
import { type Selector, selects } from '../../api/selector.ts';
import { canonicalJson } from '../../plan/canonical.ts';
import type { Bounds } from '../../rollout/groups/membership.ts';
import { isSameDecisive } from '../fleet/decisive.ts';
import type { AdapterState, RolloutState, RuntimeKey, RuntimeState } from '../fleet/fleet.ts';
import { Bits } from './bits.ts';
import { Departures } from './departures.ts';
import { dividedAll, type Group, type Profile, type Said, selectedParts } from './group.ts';
import { News } from './news.ts';
import { Points } from './points.ts';
import { RouteAnswers, type RouteQuestion } from './route-answers.ts';
import type { Served } from './sums.ts';
import { Variants } from './variants.ts';

/** One object, and not a former one of its name. */
export type Named = { readonly key: ObjectKey; readonly uid: string };

/** By what runtimes are told apart. */
export type Question = {
  readonly selectors?: readonly (Selector | undefined)[];
  readonly adapters?: readonly Named[];
  readonly rollouts?: readonly Named[];
  readonly route?: RouteQuestion;
};

/** Runtimes of which somebody took in what they say of a rollout, and up to when. */
export type Seen = { readonly runtimes: Bits; readonly mark: number };

/** What says who is in a group, and to whom of them it has given the canary. */
export type GroupBounds = Bounds & { readonly open?: number | undefined };

/** Runtimes that a group has given the canary, or not yet; undefined: that are in no group. */
export type BitsPart<G> = {
  readonly group: G | undefined;
  readonly isOpen: boolean;
  readonly runtimes: Bits;
};

type Labels = Readonly<Record<string, string>>;

/** Of a runtime that is not connected. */
export type Gone = {
  /** Wall time in milliseconds; undefined: nobody knows. */
  readonly at: number | undefined;
  /** It was cordoned or held before it went: that was announced, and is nobody's failure. */
  readonly wasRestrained: boolean;
};

type Place = { readonly sign: string; readonly labels: Labels };

/** Selectors whose runtimes are kept, and rollouts in groups whose points are. */
const [maxSelectors, maxPoints] = [512, 512] as const;

export const saidOf = (report: RolloutState): Said => {
  const { uid, stableDigest, canaryDigest, attempt, weight, effectiveWeight, holds, mirror } = report;
  const mirrorPercentage = mirror?.percentage;
  return { uid, stableDigest, canaryDigest, attempt, weight, effectiveWeight, holds, mirrorPercentage };
};

/** What the canary of a rollout was compared with, where there is one. */
const countedOf = (report: RolloutState | undefined): Served | undefined =>
  report === undefined || report.canaryDigest === '' ? undefined : report.served;

/**
 * Runtimes by what they are and say, kept up with each change of one of them: who is alike is known without a look at
 * each. Each runtime has a number, which another one gets once it is gone.
 */
export class AlikeRuntimes {
  readonly #numbers = new Map<RuntimeKey, number>();
  readonly #keys: (RuntimeKey | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #places: (Place | undefined)[] = [];
  readonly #profiles = new Map<string, { readonly profile: Profile; readonly runtimes: Bits }>();
  readonly #selected = new Map<string, { readonly selector: Selector; readonly runtimes: Bits }>();
  readonly #adapters = new Variants<AdapterState>((a, b) => a === b);
  readonly #rollouts = new Variants<Said>(isSameReport);
  /** Those that say anything, or did. */
  readonly #saying = new Bits();
  readonly #routes = new RouteAnswers();
  readonly #news = new News();
  readonly #departures = new Departures();
  readonly #wentRestrained = new Bits();
  /** By the uid of the rollout. */
  readonly #points = new Map<string, Points>();

  /** `profile`: undefined: it is no runtime that objects are for. `gone`: undefined: it is connected. */
  place(key: RuntimeKey, profile: Profile | undefined, labels: Labels, gone?: Gone): void {
    if (profile === undefined && !this.#numbers.has(key)) return;
    const number = this.#numberOf(key);
    const before = this.#places[number];
    const sign = profile === undefined ? '' : JSON.stringify(profile);
    if (before !== undefined && before.sign !== sign) {
      const known = this.#profiles.get(before.sign);
      known?.runtimes.delete(number);
      if (known?.runtimes.size === 0) this.#profiles.delete(before.sign);
    }
    if (profile !== undefined && before?.sign !== sign) {
      const known = this.#profiles.get(sign) ?? { profile, runtimes: new Bits() };
      this.#profiles.set(sign, known);
      known.runtimes.add(number);
    }
    this.#places[number] = profile === undefined ? undefined : { sign, labels };
    this.#departures.set(number, profile && gone?.at);
    if (profile !== undefined && gone?.wasRestrained) this.#wentRestrained.add(number);
    else this.#wentRestrained.delete(number);
    if (before === undefined || before.labels !== labels)
      for (const { selector, runtimes } of this.#selected.values())
        if (selects(selector, labels)) runtimes.add(number);
        else runtimes.delete(number);
  }

  /** Takes in what it says of these, now. */
  say(
    state: RuntimeState,
    { adapters, rollouts, routes }: Readonly<Record<'adapters' | 'rollouts' | 'routes', Iterable<ObjectKey>>>,
  ): void {
    const number = this.#numberOf(state.key);
    this.#saying.add(number);
    this.#routes.say(number, state, routes);
    for (const adapter of adapters) this.#adapters.set(adapter, number, state.adapters.get(adapter));
    for (const rollout of rollouts) {
      const report = state.rollouts.get(rollout);
      this.#rollouts.set(rollout, number, report && saidOf(report), countedOf(report));
      this.#news.add(rollout, number, this.#numbers.size);
    }
  }

  /** It may be another process from now on, which says the same. */
  renew(key: RuntimeKey): void {
    this.#news.addToAll(this.#numberOf(key), this.#numbers.size);
  }

  /** It says nothing any more. */
  silence(key: RuntimeKey): void {
    const number = this.#numbers.get(key);
    if (number === undefined) return;
    if (this.#saying.has(number)) {
      this.#adapters.clear(number);
      this.#rollouts.clear(number);
      this.#routes.silence(number);
      this.#saying.delete(number);
      this.#news.addToAll(number, this.#numbers.size);
    }
    if (this.#places[number] !== undefined) return;
    this.#numbers.delete(key);
    this.#keys[number] = undefined;
    this.#free.push(number);
    for (const points of this.#points.values()) points.set(number, undefined);
  }

  /** Those of some runtimes that nobody has taken in since they said something new of the rollout. */
  unread(
    rollout: ObjectKey,
    some: Bits,
    seen: Seen | undefined,
  ): { readonly runtimes: Bits; readonly seen: Seen } {
    const { mark, runtimes: news } = this.#news.since(rollout, seen?.mark);
    const known = seen === undefined || news === undefined ? undefined : seen.runtimes.without(news);
    return {
      runtimes: known === undefined ? some : some.without(known),
      seen: { runtimes: some.and(some), mark },
    };
  }

  /** Requests that some runtimes answered of the rollout, while its canary had its weight. */
  served(rollout: ObjectKey, some: Bits): readonly [stable: bigint, canary: bigint] {
    let [stable, canary] = [0n, 0n];
    for (const { runtimes, sums } of this.#rollouts.of(rollout)) {
      const both = runtimes.and(some);
      if (both.size === 0) continue;
      const [ofStable, ofCanary] = sums.of(both, runtimes);
      stable += ofStable;
      canary += ofCanary;
    }
    return [stable, canary];
  }

  /** Of some runtimes that are gone, but for those that were cordoned or held before: those that went since then, and the others. */
  gone(some: Bits, since: number): { readonly lately: Bits; readonly before: Bits } {
    const all = some.without(this.#wentRestrained);
    const lately = all.and(this.#departures.since(since));
    return { lately, before: all.without(lately) };
  }

  /** Some runtimes by the group of the rollout that each is in, none of them empty. */
  parted<G extends GroupBounds>(some: Bits, rolloutUid: string, groups: readonly G[]): BitsPart<G>[] {
    const points = this.#pointsOf(rolloutUid);
    const parts: BitsPart<G>[] = [];
    let rest = some;
    for (const group of groups) {
      const chosen = this.#chosenBy(group.selector);
      const below = rest.and(points.below(group.reach));
      const inside = chosen === undefined ? below : below.and(chosen);
      if (inside.size === 0) continue;
      rest = rest.without(inside);
      const open = group.open === undefined ? inside : inside.and(points.below(group.open));
      parts.push({ group, isOpen: true, runtimes: open });
      parts.push({ group, isOpen: false, runtimes: inside.without(open) });
    }
    parts.push({ group: undefined, isOpen: false, runtimes: rest });
    return parts.filter(({ runtimes }) => runtimes.size > 0);
  }

  /** Runtimes of pods of the namespace, and of nodes that the selector chooses; none is in two groups. */
  groups(namespace: string, nodes: Selector | undefined, question: Question): readonly Group[] {
    const groups: Group[] = [];
    const ofNodes = this.#chosenBy(nodes);
    for (const { profile, runtimes: all } of this.#profiles.values()) {
      if (profile.scope !== undefined && profile.scope !== namespace) continue;
      const runtimes = profile.scope === undefined && ofNodes !== undefined ? all.and(ofNodes) : all;
      if (runtimes.size > 0) groups.push({ profile, runtimes, selected: [], adapters: [], reports: [] });
    }
    let parts: readonly Group[] = groups;
    for (const selector of question.selectors ?? []) {
      const chosen = this.#chosenBy(selector);
      parts = parts.flatMap((group) => selectedParts(group, chosen));
    }
    const runtimes = this.#numbers.size;
    for (const { key, uid } of question.adapters ?? [])
      parts = dividedAll(parts, {
        variants: this.#adapters.of(key).filter(({ value }) => value.uid === uid),
        runtimes,
        answer: ({ adapters }, adapter) => ({ adapters: [...adapters, adapter] }),
      });
    for (const { key, uid } of question.rollouts ?? [])
      parts = dividedAll(parts, {
        variants: this.#rollouts.of(key).filter(({ value }) => value.uid === uid),
        runtimes,
        answer: ({ reports }, report) => ({ reports: [...reports, report] }),
      });
    return question.route === undefined ? parts : this.#routes.divided(parts, question.route, runtimes);
  }

  /** What there are of runtimes, each once. */
  *profiles(): Iterable<Profile> {
    for (const { profile } of this.#profiles.values()) yield profile;
  }

  /** In the order of their names. */
  keysOf(runtimes: Bits): RuntimeKey[] {
    return [...runtimes].flatMap((number) => this.#keys[number] ?? []).sort();
  }

  numbersOf(keys: Iterable<string>): Bits {
    const numbers = new Bits();
    for (const key of keys) {
      const number = this.#numbers.get(key as RuntimeKey);
      if (number !== undefined) numbers.add(number);
    }
    return numbers;
  }

  /** Undefined: everybody. */
  #chosenBy(selector: Selector | undefined): Bits | undefined {
    if (selector === undefined || Object.keys(selector.matchLabels).length === 0) return undefined;
    const sign = canonicalJson(selector.matchLabels);
    const known = this.#selected.get(sign);
    if (known !== undefined) return known.runtimes;
    const chosen = new Bits();
    for (const [number, place] of this.#places.entries())
      if (place !== undefined && selects(selector, place.labels)) chosen.add(number);
    if (this.#selected.size >= maxSelectors) this.#selected.clear();
    this.#selected.set(sign, { selector, runtimes: chosen });
    return chosen;
  }

  #numberOf(key: RuntimeKey): number {
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const number = this.#free.pop() ?? this.#keys.length;
    this.#numbers.set(key, number);
    this.#keys[number] = key;
    for (const points of this.#points.values()) points.set(number, key);
    return number;
  }

  #pointsOf(rolloutUid: string): Points {
    const known = this.#points.get(rolloutUid);
    if (known !== undefined) return known;
    const points = new Points(rolloutUid);
    for (const [key, number] of this.#numbers) points.set(number, key);
    if (this.#points.size >= maxPoints) this.#points.clear();
    this.#points.set(rolloutUid, points);
    return points;
  }
}

const isSameReport = (a: Said, b: Said): boolean =>
  isSameDecisive(a, b) &&
  a.effectiveWeight === b.effectiveWeight &&
  a.mirrorPercentage === b.mirrorPercentage;
