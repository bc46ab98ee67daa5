import type { Report } from '../../test/bench/report.ts';
import { type ShapeName, shapeNames } from '../../test/bench/sizes/shapes.ts';
import { attacks } from '../../test/support/hostile/attacks.ts';

/** Of a fleet. */
type Size = { readonly runtimes: number; readonly adapters: number; readonly rollouts: number };

/** What a bench has to reach. */
export type Goal = {
  readonly bench: string;
  /** A ratio, `results.KEY.median` or `.p99`, or one of these over another: `A / B`; `results.*.p99`: the largest. */
  readonly key: string;
  readonly what: string;
  readonly bound: 'at most' | 'at least';
  readonly value: number;
  /** The least fleet that the goal is for: what was measured of a smaller one does not reach it. Absent: for any. */
  readonly of?: Size;
};

const most = (bench: string, key: string, value: number, what: string): Goal => ({
  bench,
  key,
  what,
  bound: 'at most',
  value,
});
const least = (bench: string, key: string, value: number, what: string): Goal => ({
  ...most(bench, key, value, what),
  bound: 'at least',
});

export const largeFleet: Size = { runtimes: 1_000, adapters: 10_000, rollouts: 200 };
const ofLargeFleet = (key: string, value: number, what: string): Goal => ({
  ...most('fleet', key, value, what),
  of: largeFleet,
});
const exponent = (name: string, what: string): Goal =>
  most('fleet', `${name}_exponent`, 1.1, `exponent of ${what} with more runtimes`);

const sizeArms = { base: 'no adapter', r8: 'rank 8', r16: 'rank 16' } as const;
/** Rank 8 is not asked after the long prompt. */
const sizeDecodes: readonly (readonly [length: number, arms: readonly (keyof typeof sizeArms)[]])[] = [
  [128, ['base', 'r8', 'r16']],
  [1024, ['base', 'r16']],
];

/** Of a model of a real size: decode beside GenAI, and a batch of different adapters beside one of the same. */
const ofSize = (name: ShapeName): readonly Goal[] => {
  const threadCounts = [1, 2] as const;
  const decodes = sizeDecodes.flatMap(([length, arms]) =>
    arms.flatMap((arm) =>
      threadCounts.map((threads) =>
        least(
          'sizes',
          `${name}_decode${length}_${arm}_over_genai${threads === 1 ? '' : '_t2'}`,
          1,
          `${name}: tokens per second over GenAI after ${length} tokens, ${sizeArms[arm]}, ${threads} thread${threads === 1 ? '' : 's'}`,
        ),
      ),
    ),
  );
  const batches = [4, 8].flatMap((rows) =>
    threadCounts.map((threads) =>
      least(
        'sizes',
        `${name}_mixed${rows}_over_same${rows}${threads === 1 ? '_t1' : ''}`,
        0.95,
        `${name}: tokens per second, ${rows} rows with ${rows} adapters of rank 16 over one, ${threads} thread${threads === 1 ? '' : 's'}`,
      ),
    ),
  );
  return [...decodes, ...batches];
};

/** Short requests of one client beside each attack of others. */
const ofHostile: readonly Goal[] = Object.keys(attacks).flatMap((attack) =>
  (['http', 'grpc'] as const).map((protocol) =>
    most(
      'hostile',
      `p99_${attack}_${protocol}`,
      2,
      `time of a request over ${protocol === 'http' ? 'HTTP' : 'gRPC'} beside the attack ${attack}, p99, over alone`,
    ),
  ),
);

const ofRouting: readonly Goal[] = [
  most('routing', 'results.1000 rules, values.p99', 50, 'decision among 1,000 rules for values, p99, us'),
  most('routing', 'results.1000 rules, prefixes.p99', 50, 'the same for prefixes and negations'),
  most('routing', 'results.table, prototypes.p99', 0.3, 'label of a text by a table of examples, p99, ms'),
  most('routing', 'results.table, softmax.p99', 0.3, 'the same by a table with a head'),
  most('routing', 'results.encoder, head of an adapter.p99', 10, 'the same by an encoder, onnx'),
];

const ofStructured: readonly Goal[] = [
  least(
    'structured',
    'alone_tokens_per_second',
    0.95,
    'tokens per second with a schema over without, one row',
  ),
  least('structured', 'alone_guessing_tokens_per_second', 0.95, 'the same with guesses'),
  least('structured', 'together_tokens_per_second', 0.95, 'the same with 8 rows of two adapters'),
  ...['v1', 'v2'].flatMap((adapter) => [
    least('structured', `${adapter}_valid_with`, 1, `share of answers of ${adapter} that fit the schema`),
    least(
      'structured',
      `${adapter}_exact_with / ${adapter}_exact_without`,
      1,
      `exact answers of ${adapter} with the schema over without`,
    ),
  ]),
];

export const goals: readonly Goal[] = [
  most('overhead', 'base', 1, 'decode step without an adapter over the uninjected graph, 1 thread'),
  most('overhead', 'qv_r8', 1.03, 'the same with rank 8 on q and v'),
  most('overhead', 'all_r8_t1', 1.08, 'the same with rank 8 on all linears'),
  most('overhead', 'all_r8_t2', 1.12, 'the same with 2 threads'),
  most('overhead', 'all_r16_t1', 1.12, 'the same with rank 16 on all linears, float16, 1 thread'),
  least('peers', 'decode_base_over_genai', 1, 'tokens per second over GenAI, no adapter, 1 thread'),
  least('peers', 'decode_r8_over_genai', 1, 'tokens per second over GenAI, rank 8, 1 thread'),
  least('peers', 'decode_base_over_genai_t2', 1, 'tokens per second over GenAI, no adapter, 2 threads'),
  least('peers', 'decode_r8_over_genai_t2', 1, 'tokens per second over GenAI, rank 8, 2 threads'),
  least('peers', 'decode_r16_over_genai', 1, 'tokens per second over GenAI, rank 16, 1 thread'),
  least('peers', 'decode_r16_over_genai_t2', 1, 'tokens per second over GenAI, rank 16, 2 threads'),
  most('peers', 'ready_5mb_over_genai', 1, 'cold file to first token over GenAI, 5 MB adapter'),
  most('peers', 'ready_49mb_over_genai', 1, 'cold file to first token over GenAI, 49 MB adapter'),
  least('peers', 'mixed4_over_peft', 1, '4 requests for 4 adapters over the best way of PEFT, 2 cores'),
  least('peers', 'mixed4_over_llama', 1, 'the same over llama.cpp'),
  least('peers', 'mixed4_over_genai', 1, 'the same over GenAI'),
  least('peers', 'mixed8_over_peft', 1, '8 requests for 8 adapters over the best way of PEFT, 2 cores'),
  least('peers', 'mixed8_over_llama', 1, 'the same over llama.cpp'),
  least('peers', 'mixed8_over_genai', 1, 'the same over GenAI'),
  ...shapeNames.flatMap((name) => ofSize(name)),
  least('mixed', 'mixed8_over_same8', 0.95, 'tokens per second, 8 rows with 8 adapters over one, 2 threads'),
  least('mixed', 'mixed8_over_same8_t1', 0.95, 'the same with 1 thread'),
  least('mixed', 'mixed_ranks8_over_same8', 0.85, 'the same with ranks 8, 16 and 64, 2 threads'),
  least('mixed', 'mixed_ranks8_int8_over_same8', 0.85, 'the same with adapters in int8'),
  least(
    'mixed',
    'mixed8_over_sequential',
    1,
    'tokens per second, 8 rows with 8 adapters over one request at a time, 2 threads',
  ),
  most('sampling', 'results.*.p99', 5, 'one token of a vocabulary of 262,144, the slowest option, p99, ms'),
  most('sampling', 'results.mask.p99', 5, 'the same with the mask of a structure'),
  most('sampling', 'results.mask and everything.p99', 5, 'the same with a mask and all other options'),
  most(
    'long-texts',
    'results.delay_random_chinese.p99',
    100,
    'longest gap between tokens beside texts of 131,000 random Chinese characters, less the usual gap, p99, ms',
  ),
  most('long-texts', 'results.delay_one_chinese.p99', 100, 'the same, one Chinese character again and again'),
  most('long-texts', 'results.delay_dashes.p99', 100, 'the same, dashes'),
  least(
    'long-answers',
    'llama32-1b_answered',
    1,
    'share of 8 requests at once, 500 tokens and 1,024 of answer each, that are answered by a node with its defaults, 1.2 billion weights',
  ),
  most(
    'dashboard',
    'results.first_paint_start.p99',
    1000,
    'first paint with 1,000 runtimes: start page, p99, ms',
  ),
  most('dashboard', 'results.first_paint_fleet.p99', 1000, 'the same, the fleet'),
  most('dashboard', 'results.first_paint_rollout.p99', 1000, 'the same, a rollout'),
  most(
    'fairness',
    'results.ttft_beside_greedy.p99',
    500,
    'first token beside a tenant with 64 requests, p99, ms',
  ),
  most(
    'fairness',
    'results.ttft_beside_greedy_adapter.p99',
    500,
    'the same beside another adapter of the same tenant',
  ),
  most(
    'tenants',
    'p99_beside_over_alone',
    2,
    'first token of a namespace beside one with 64 requests for 100 adapters over alone, p99',
  ),
  most('tenants', 'residents_missing', 0, 'how often one of its adapters was found out of RAM'),
  most('side-channel', 'auc_across', 0.55, 'how well a tenant sees what another one asked, 0.5: not at all'),
  least('side-channel', 'auc_within', 0.9, 'the same within one tenant'),
  most('memory', 'pss_over_bytes', 1.05, 'memory that loaded adapters add over the bytes of their files'),
  most('memory', 'anonymous_over_bytes', 1.05, 'the same, pages of no file only'),
  most('memory', 'growth', 1.02, 'memory after the load/evict cycles over before'),
  most('memory', 'growth_anonymous', 1.02, 'the same, pages of no file only'),
  most(
    'memory',
    'results.main_after_1000_requests.median',
    114.4,
    'memory of the process that takes requests, without the engine, after 1,000 of them, PSS, MiB (120 MB)',
  ),
  most('memory', 'results.main_rss_after_1000_requests.median', 114.4, 'the same, RSS'),
  most('switch', 'switch_over_same', 1.02, 'time to first token after another adapter over the same one'),
  most('switch', 'results.switch_extra.p99', 1, 'what the engine adds to a switch, p99, ms'),
  most('cold', 'results.cold_5mb.median', 5, 'cold compiled file of a 5 MB adapter to Resident, ms'),
  most('cold', 'results.cold_50mb.median', 25, 'the same for 50 MB, ms'),
  least(
    'many',
    'hit_over_top64',
    0.95,
    '1,000 adapters by Zipf(1.0), RAM for 64: share of hits over that of holding the 64 most popular',
  ),
  most(
    'many',
    'results.miss_extra.p99',
    100,
    'time to first token of a miss over a hit, 5 MB adapters, p99, ms',
  ),
  most(
    'judge',
    'false_abort_aa',
    0.05,
    'share of canaries like stable that are aborted, worst kind of traffic',
  ),
  least('judge', 'power_1_to_3pct', 0.99, 'share of canaries with 3 % errors over 1 % that are aborted'),
  most('judge', 'results.detect_1_to_3pct.median', 1000, 'answers of such a canary until the abort, median'),
  least('reward', 'rolled_back', 1, 'share of canaries with wrong answers that their rewards roll back'),
  least('reward', 'promoted', 1, 'a better adapter is promoted after them'),
  most('reward', 'failed_requests', 0, 'requests that failed meanwhile'),
  most('rollback', 'results.guard.p99', 100, 'guard crosses its limit to last canary answer begun, p99, ms'),
  most('rollback', 'failed_requests', 0, 'requests that failed beyond those that crossed the limit'),
  most('rollback', 'results.operator_abort.p99', 1000, 'abort to last canary request on 20 nodes, p99, ms'),
  least(
    'speculate',
    'json_tokens_per_second',
    1.5,
    'tokens per second with guesses over without, JSON of an adapter',
  ),
  least('speculate', 'prose_tokens_per_second', 0.98, 'the same of prose, drawn by the base model'),
  ofLargeFleet(
    'results.apply_to_effective.p99',
    1000,
    'change of a weight to in force on all runtimes of a fleet, p99, ms',
  ),
  ofLargeFleet('results.abort_to_effective.p99', 1000, 'abort to no canary on any of its runtimes, p99, ms'),
  ofLargeFleet(
    'results.reconnect_all_s.median',
    10,
    'all of its runtimes connected again after all links were cut, s',
  ),
  ofLargeFleet(
    'results.failover_s.median',
    30,
    'leader killed to the next decision, with a lease of 20 s, s',
  ),
  ofLargeFleet('results.operator_rss_mib.p99', 512, 'memory of the leader under load, MiB'),
  ofLargeFleet(
    'results.leader_cpu.median',
    0.5,
    'processor of the leader with a step and a flap a second, share of a core',
  ),
  ofLargeFleet('results.api_writes_per_s.median', 10, 'writes to the API server per second meanwhile'),
  ofLargeFleet(
    'results.idle_bytes_per_node_hour.median',
    112_500,
    'bytes of an idle node in an hour, both ways, without headers of TCP and IP (0.25 kbit/s)',
  ),
  exponent('cpu', 'the processor time of the leader for a step and a flap'),
  exponent('rss', 'the memory of the leader'),
  exponent('writes', 'writes to the API server'),
  exponent('commits', 'commits of a change'),
  exponent('bytes', 'bytes of resources for a change'),
  exponent('messages', 'messages of runtimes for a change'),
  exponent('compilations', 'compilations of a change'),
  most('image', 'results.size_mib.median', 200, 'compressed image of one architecture, MiB'),
  ...ofRouting,
  ...ofStructured,
  ...ofHostile,
];

const largest = (values: readonly number[]): number | undefined =>
  values.length === 0 ? undefined : Math.max(...values);

/** The number of a goal's key; undefined when the report has none. */
export const valueOf = (report: Report, key: string): number | undefined => {
  if (report.ratios[key] !== undefined) return report.ratios[key];
  const [above = '', below] = key.split(' / ');
  if (below !== undefined) {
    const [value, base] = [valueOf(report, above), valueOf(report, below)];
    return value === undefined || base === undefined ? undefined : Number((value / base).toPrecision(4));
  }
  if (key === 'results.*.p99') return largest(Object.values(report.results).map(({ p99 }) => p99));
  const [, name = '', part] = /^results\.(.+)\.(median|p99)$/.exec(key) ?? [];
  if (part === 'median' || part === 'p99') return report.results[name]?.[part];
  return undefined;
};

export const isReached = ({ bound, value }: Goal, measured: number): boolean =>
  bound === 'at most' ? measured <= value : measured >= value;

const measuredOf = ({ setup }: Report, key: keyof Size): number => Number(setup[key] ?? 0);

/** Runtimes x Adapters x rollouts of a fleet. */
export const sizeText = (size: Size): string =>
  [size.runtimes, size.adapters, size.rollouts].map((count) => count.toLocaleString('en-US')).join(' x ');

/** Of a curve: its largest size. */
export const sizeOf = (report: Report): Size => ({
  runtimes: measuredOf(report, 'runtimes'),
  adapters: measuredOf(report, 'adapters'),
  rollouts: measuredOf(report, 'rollouts'),
});

const isLargeAs = (size: Size, { runtimes, adapters, rollouts }: Size): boolean =>
  size.runtimes >= runtimes && size.adapters >= adapters && size.rollouts >= rollouts;

export type Outcome = {
  readonly value: number;
  /** Where several reports have the number: of a curve the longest, else that with the most objects. */
  readonly report: Report;
  /** NotMeasured: a fleet that is smaller than that of the goal reaches it, which says nothing of the goal. */
  readonly verdict: 'Reached' | 'NotReached' | 'NotMeasured';
};

export const verdicts: Readonly<Record<Outcome['verdict'], string>> = {
  Reached: 'reached',
  NotReached: '**not reached**',
  NotMeasured: 'the saved report is of a smaller fleet',
};

/** What the reports say of a goal; undefined: none of them has its number. */
export const outcomeOf = (goal: Goal, reports: readonly Report[]): Outcome | undefined => {
  const isCurve = goal.key.endsWith('_exponent');
  const worth = (report: Report): number => measuredOf(report, isCurve ? 'runtimes' : 'adapters');
  const [best] = reports
    .filter(({ bench }) => bench === goal.bench)
    .flatMap((report) => {
      const value = valueOf(report, goal.key);
      return value === undefined ? [] : [{ report, value }];
    })
    .toSorted((a, b) => worth(b.report) - worth(a.report));
  if (best === undefined) return undefined;
  if (!isReached(goal, best.value)) return { ...best, verdict: 'NotReached' };
  const isOfSize = goal.of === undefined || isLargeAs(sizeOf(best.report), goal.of);
  return { ...best, verdict: isOfSize ? 'Reached' : 'NotMeasured' };
};
