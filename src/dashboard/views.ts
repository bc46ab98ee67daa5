/** What the page is told, as JSON. Times are milliseconds since the epoch; the page knows no other types. */

/** Audience of tokens that are made for this page, and good for nothing else. */
export const dashboardAudience = 'adaptlet-dashboard';

/** Header of an answer that is a refusal: its code of the error catalogue. */
export const errorHeader = 'x-adaptlet-error';

/** The kinds that views are about. Who may list a kind in a namespace may see its views there. */
export const viewKinds = ['adapters', 'adapterrollouts', 'adapterruntimes'] as const;
export type ViewKind = (typeof viewKinds)[number];

/** The namespace that is looked at; undefined: all. */
export type ViewScope = string | undefined;

/** The first that is true of a runtime. */
export const runtimeStates = ['Away', 'Held', 'Cordoned', 'NotReady', 'Ready'] as const;
export type RuntimeStateName = (typeof runtimeStates)[number];

/** For how many milliseconds runtimes have lacked something of their plan; 0: they have all of it. */
export type PlanAges = {
  /** Runtimes whose age is known. */
  readonly known: number;
  readonly p50: number;
  readonly p99: number;
  readonly oldest: number;
};

export type About = {
  readonly version: string;
  /** Name of the replica or node that answers. */
  readonly shownBy: string;
  readonly kind: 'Operator' | 'Node';
  /** Since when it remembers. */
  readonly since: number;
  /** Undefined: all namespaces. */
  readonly namespace?: string;
  readonly kinds: readonly ViewKind[];
};

export type GroupView = {
  readonly name: string;
  readonly runtimes: number;
  readonly states: Readonly<Record<RuntimeStateName, number>>;
  readonly ages: PlanAges;
};

export type FleetView = {
  /** `baseModel`, or the key of a label. */
  readonly by: string;
  /** What else the runtimes may be grouped by. */
  readonly labels: readonly string[];
  readonly total: GroupView;
  readonly groups: readonly GroupView[];
  /** Groups that are not in the list. */
  readonly leftOut: number;
};

export type RuntimeRow = {
  /** `namespace/name`. */
  readonly key: string;
  readonly node: string;
  readonly baseModel: string;
  readonly version: string;
  readonly state: RuntimeStateName;
  /** Since when it is in that state, as far as that is written down. */
  readonly since?: number;
  /** Why it is, for people. */
  readonly message: string;
  readonly planAgeMs?: number;
  readonly labels: Readonly<Record<string, string>>;
};

/** A part of a list, and how many items it has. */
export type Page<T> = { readonly total: number; readonly items: readonly T[] };

export type RuntimesQuery = {
  readonly state?: RuntimeStateName;
  /** A value of what the fleet is grouped by. */
  readonly group?: string;
  readonly by: string;
  /** Part of a name. */
  readonly text: string;
  readonly limit: number;
};

export type Interval = { readonly low: number; readonly high: number };

export type MetricView = {
  readonly name: string;
  readonly phase: string;
  readonly message: string;
  /** The estimate, and the confidence bound or limit that it is held against. */
  readonly value?: number;
  readonly bound?: number;
  /** What both sides earned, for A/B tests. */
  readonly stable?: Interval;
  readonly canary?: Interval;
};

export type RolloutView = {
  readonly key: string;
  readonly phase: string;
  readonly reason: string;
  readonly message: string;
  readonly stable: string;
  readonly canary: string;
  /** Percent of requests that the canary is allowed, and that it answered. */
  readonly weight: number;
  readonly observed?: number;
  /** `2/5`, or ''. */
  readonly step: string;
  readonly groups: readonly {
    readonly name: string;
    readonly phase: string;
    readonly weight: number;
    readonly message: string;
  }[];
  readonly runtimes: Readonly<Record<string, number>>;
  readonly metrics: readonly MetricView[];
  readonly startedAt?: number;
  readonly finishedAt?: number;
};

export type RolloutsView = Page<RolloutView> & {
  /** How many are in each phase, of all. */
  readonly phases: Readonly<Record<string, number>>;
};

export type Sample = {
  /** Grows by one with each sample of a replica. */
  readonly number: number;
  readonly at: number;
  readonly adapter: string;
  readonly weight: number;
  readonly observed?: number;
  readonly metrics: readonly Omit<MetricView, 'message' | 'phase'>[];
};

export type HistoryView = {
  /** Nothing is known of the time before. */
  readonly since: number;
  readonly rollout: RolloutView;
  readonly samples: readonly Sample[];
};

export type AdapterRow = {
  readonly key: string;
  readonly baseModel: string;
  readonly digest: string;
  /** Runtimes where it should be and is not on the disk; on the disk alone; in RAM; refused. */
  readonly tiers: Tiers;
  readonly serving: number;
  readonly message: string;
};
export type Tiers = {
  readonly Remote: number;
  readonly Stored: number;
  readonly Resident: number;
  readonly Failed: number;
};
export type AdaptersView = Page<AdapterRow> & { readonly tiers: Tiers };

export type Waiting = {
  /** `Kind namespace/name`. */
  readonly kind: 'Adapter' | 'AdapterRollout' | 'AdapterRuntime';
  readonly key: string;
  readonly reason: string;
  readonly message: string;
  readonly since?: number;
};

/** What happened to a runtime. */
export type Happening = {
  readonly number: number;
  readonly at: number;
  /** Of the last of `count` that followed each other. */
  readonly until: number;
  readonly count: number;
  readonly what: string;
  readonly message: string;
};

export type TimelineView = {
  readonly since: number;
  readonly runtime: RuntimeRow;
  /** Newest first. */
  readonly happenings: readonly Happening[];
};

/** Where the views come from. Lists are sorted by what matters most; `undefined`: there is no such object. */
export type Views = {
  about(): Omit<About, 'namespace' | 'kinds'>;
  fleet(scope: ViewScope, by: string): FleetView;
  runtimes(scope: ViewScope, query: RuntimesQuery): Page<RuntimeRow>;
  rollouts(scope: ViewScope, limit: number): RolloutsView;
  adapters(scope: ViewScope, limit: number): AdaptersView;
  waiting(scope: ViewScope, kinds: ReadonlySet<ViewKind>, limit: number): Page<Waiting>;
  history(rollout: string): HistoryView | undefined;
  timeline(runtime: string): TimelineView | undefined;
};
