import type { ObjectKey } from '../../api/names.ts';
import type { RuntimeView } from '../../plan/split.ts';
import type { Own, ViewPlan } from '../../plan/view-plan.ts';
import type { Scope } from '../objects/scope.ts';

type Labels = Readonly<Record<string, string>>;

const nothing: Own = new Map();
/** No namespace. */
export const nobody: ReadonlySet<string> = new Set();

/** What the owner of a runtime's stream says when the runtime has everything that its plan gives it now. */
export type Settled = {
  /** Names that the runtime asked for. The set may go on changing. */
  readonly names: ReadonlySet<string>;
  /** What it is sent depends on more than its plan: it is told of every change of any plan like its own. */
  readonly hearsAll: boolean;
};

/** A runtime that follows its plan, and how far that has come. */
export class Follower {
  readonly key: ObjectKey;
  readonly scope: Scope;
  readonly baseModel: string;
  readonly changed: () => void;
  /** Of its AdapterRuntime; undefined: there is none, so nothing is known of what it may have. */
  labels: Labels | undefined;
  /** False: `own` is not that of its labels now. */
  isPlaced = false;
  own: Own = nothing;
  /** Namespaces whose policies choose among nodes, and choose this one, in what was published. */
  chosenBy: ReadonlySet<string> = nobody;
  /** Undefined: it may lack something, and waits for whatever comes. */
  settled: Settled | undefined;
  /** Monotonic time since when it may lack something; undefined: it has everything that was published. */
  staleSince: number | undefined;
  /** It was told once. */
  isKnown = false;
  #plan: { readonly base: ViewPlan; readonly own: Own; readonly plan: ViewPlan } | undefined;

  constructor(
    { key, scope, baseModel }: Pick<Follower, 'key' | 'scope' | 'baseModel'>,
    labels: Labels | undefined,
    { now, changed }: { readonly now: number; readonly changed: () => void },
  ) {
    this.key = key;
    this.scope = scope;
    this.baseModel = baseModel;
    this.labels = labels;
    this.staleSince = now;
    this.changed = changed;
  }

  get view(): RuntimeView {
    const { baseModel, key, labels = {}, scope } = this;
    return { baseModel, key, labels, scope };
  }

  /** The plan of all, with what it has otherwise. The same one while neither changes. */
  planOver(base: ViewPlan): ViewPlan {
    const { own } = this;
    if (own.size === 0) return base;
    if (this.#plan?.base !== base || this.#plan.own !== own)
      this.#plan = { base, own, plan: base.withOwn(own) };
    return this.#plan.plan;
  }
}
