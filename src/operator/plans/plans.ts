import type { ObjectKey } from '../../api/names.ts';
import type { Manifest } from '../../api/objects.ts';
import type { Revision } from '../../control/revision.ts';
import type { Plan } from '../../plan/resources.ts';
import type { Clock } from '../../time/clock.ts';
import type { KeySecrets } from '../keys/key-secrets.ts';
import type { Collection, Objects } from '../objects/objects.ts';
import { Policies } from '../objects/policies.ts';
import { type Scope, scopeOf } from '../objects/scope.ts';
import { inputOf } from './inputs.ts';
import { Moment, planOf, type Snapshot } from './snapshot.ts';

/** The plan of one runtime at one moment. */
export type RuntimePlan = {
  readonly plan: Plan;
  readonly withheld: ReadonlySet<string>;
  /** Present: all other keys stay as they are. */
  readonly only?: ReadonlySet<string> | undefined;
  /** The newest change of each kind that is in it. */
  readonly revision: Revision;
  /** Everything up to here is in it: what it is compared by. */
  readonly seen: Revision;
};

/** A connected runtime. */
export type Following = {
  /** Undefined: there is no AdapterRuntime, or its first plan is being compiled. */
  plan(): RuntimePlan | undefined;
  close(): void;
};

/** Bursts of changes are compiled together, at most once in so many milliseconds. */
const minPauseMs = 10;

type View = {
  readonly name: string;
  readonly scope: Scope;
  readonly baseModel: string;
  /** A runtime that has this view now: what it is compiled for. */
  key: ObjectKey;
  labels: Readonly<Record<string, string>>;
  /** A plan whose resources this one may share until it is compiled. */
  readonly seed: Plan | undefined;
  compiled: ({ readonly plan: Plan; readonly snapshot: Snapshot } & Reached) | undefined;
};

export type PlansParts = {
  readonly objects: Objects;
  readonly clock: Clock;
  /** Absent: those of `objects`, with the default namespace. */
  readonly policies?: Policies;
  /** Absent: none. */
  readonly keys?: Pick<KeySecrets, 'resources' | 'unread' | 'onChange'> | undefined;
};

type Reached = Pick<RuntimePlan, 'revision' | 'seen'>;

/** A runtime that follows its plan. */
export type FollowerInfo = {
  readonly key: ObjectKey;
  readonly kind: 'Node' | 'Pod';
  readonly baseModel: string;
};

type Follower = Omit<FollowerInfo, 'kind'> & {
  readonly scope: Scope;
  readonly changed: () => void;
  view: View | undefined;
};

/**
 * The plans of all connected runtimes. Runtimes that see the objects alike share one, and all plans share the resources
 * that did not change. The plan of a pod is made of its namespace alone.
 *
 * Guarantees: a plan is of the state at its revision or a newer one; a change that cannot matter compiles nothing;
 * between two views others get their turn.
 */
export class Plans {
  readonly #objects: Objects;
  readonly #clock: Clock;
  readonly #policies: Policies;
  readonly #keys: PlansParts['keys'];
  readonly #followers = new Set<Follower>();
  readonly #ends: (() => void)[];
  readonly #views = new Map<string, View>();
  /** Undefined after something changed. */
  #moment: Moment | undefined;
  /** Followers that may belong to another view than before. */
  #unplaced = false;
  #stopTimer: (() => void) | undefined;
  #ranAt = Number.NEGATIVE_INFINITY;
  readonly #counts = { compilations: 0, milliseconds: 0 };

  constructor({ objects, clock, policies = new Policies(objects.policies), keys }: PlansParts) {
    this.#objects = objects;
    this.#clock = clock;
    this.#policies = policies;
    this.#keys = keys;
    const stale = (): void => {
      this.#moment = undefined;
      this.#unplaced = true;
      this.#schedule();
    };
    this.#ends = [
      whenInputChanges(objects.adapters, stale),
      whenInputChanges(objects.rollouts, stale),
      whenInputChanges(objects.routes, stale),
      whenInputChanges(objects.policies, stale),
      ...(keys === undefined ? [] : [keys.onChange(stale)]),
      objects.runtimes.onChange(({ key }) => {
        if (![...this.#followers].some((follower) => follower.key === key)) return;
        this.#unplaced = true;
        this.#schedule();
      }),
    ];
  }

  /** `changed` is called when `plan()` may be another one. */
  follow({ key, kind, baseModel }: FollowerInfo, changed: () => void): Following {
    const follower: Follower = { key, scope: scopeOf(kind, key), baseModel, changed, view: undefined };
    this.#followers.add(follower);
    this.#unplaced = true;
    this.#schedule();
    return {
      plan: () => this.#planOf(follower),
      close: () => {
        this.#followers.delete(follower);
        this.#unplaced = true;
        this.#schedule();
      },
    };
  }

  gauges(): { readonly views: number; readonly compilations: number; readonly milliseconds: number } {
    return { views: this.#views.size, ...this.#counts };
  }

  close(): void {
    this.#stopTimer?.();
    for (const end of this.#ends) end();
    this.#followers.clear();
    this.#views.clear();
  }

  #planOf({ view }: Follower): RuntimePlan | undefined {
    if (view?.compiled === undefined) return undefined;
    const { plan, snapshot, ...reached } = view.compiled;
    // Nothing that matters came since: the plan is that of now as well.
    const isOfNow = snapshot === this.#moment?.snapshot(view.scope) && !this.#unplaced;
    return { plan, withheld: snapshot.withheld, ...(isOfNow ? this.#reached() : reached) };
  }

  #reached(): Reached {
    return { revision: this.#objects.revision(), seen: this.#objects.seen() };
  }

  #schedule(): void {
    if (this.#stopTimer !== undefined) return;
    const pause = Math.max(0, this.#ranAt + minPauseMs - this.#clock.monotonic());
    this.#stopTimer = this.#clock.after(pause, () => {
      this.#stopTimer = undefined;
      this.#run();
    });
  }

  /** Compiles one view; the rest in the next turns. */
  #run(): void {
    if (this.#followers.size === 0) {
      this.#views.clear();
      return;
    }
    // Before anything is looked at: what comes meanwhile may be in the plan, what came before is.
    const reached = this.#reached();
    const moment = (this.#moment ??= new Moment(this.#objects, this.#policies, this.#keys));
    const told = this.#place(moment);
    const isDue = ({ compiled, scope }: View): boolean => compiled?.snapshot !== moment.snapshot(scope);
    const view = [...this.#views.values()].find(isDue);
    if (view !== undefined) {
      this.#compile(view, moment.snapshot(view.scope), reached);
      for (const follower of this.#followers) if (follower.view === view) told.add(follower);
    }
    const isLast = ![...this.#views.values()].some(isDue);
    // Only a whole round counts for the pause: its views are one change.
    if (isLast) this.#ranAt = this.#clock.monotonic();
    else this.#schedule();
    for (const follower of told) if (this.#followers.has(follower)) follower.changed();
  }

  #compile(view: View, snapshot: Snapshot, reached: Reached): void {
    const startedAt = this.#clock.monotonic();
    view.compiled = { plan: planOf(snapshot, view, view.compiled?.plan ?? view.seed), snapshot, ...reached };
    this.#counts.compilations += 1;
    this.#counts.milliseconds += this.#clock.monotonic() - startedAt;
  }

  /** Gives every follower its view. The result: those that have another one now. */
  #place(moment: Moment): Set<Follower> {
    const moved = new Set<Follower>();
    if (!this.#unplaced) return moved;
    this.#unplaced = false;
    const used = new Set<View>();
    for (const follower of this.#followers) {
      const runtime = this.#objects.runtimes.get(follower.key)?.object;
      // Labels of an AdapterRuntime that was deleted a moment ago would be a guess: nothing is sent until it is back.
      const view =
        runtime === undefined ? undefined : this.#viewOf(moment, follower, runtime.metadata.labels);
      if (view !== follower.view) moved.add(follower);
      follower.view = view;
      if (view !== undefined) used.add(view);
    }
    for (const [name, view] of this.#views) if (!used.has(view)) this.#views.delete(name);
    return moved;
  }

  #viewOf(moment: Moment, { key, scope, baseModel, view: former }: Follower, labels: View['labels']): View {
    const { selectors } = moment.snapshot(scope);
    const name = `${scope ?? ''}\n${selectors.text}\n${selectors.viewOf(baseModel, { key, labels })}`;
    let view = this.#views.get(name);
    if (view === undefined) {
      const seed = former?.compiled?.plan ?? former?.seed;
      view = { name, scope, key, baseModel, labels, seed, compiled: undefined };
      this.#views.set(name, view);
    }
    // The one that it was compiled for may have another view by now.
    view.key = key;
    view.labels = labels;
    return view;
  }
}

type Input = Manifest;

const whenInputChanges = <T extends Input>(collection: Collection<T>, changed: () => void): (() => void) =>
  collection.onChange(({ type, object, before }) => {
    if (type === 'updated' && before !== undefined && inputOf(before) === inputOf(object)) return;
    changed();
  });
