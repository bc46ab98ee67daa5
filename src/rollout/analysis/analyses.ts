import type { AnalysisSpec, AnalysisStep, BackgroundAnalysis } from '../../api/analysis.ts';
import type { RolloutObject } from '../../api/objects.ts';
import type { MetricStatus } from '../../api/rollout-status.ts';
import type { Draft } from '../draft.ts';
import type { Facts } from '../facts.ts';
import { smallFleet } from '../failures.ts';
import { conclude } from '../judge/assess.ts';
import { withFairShares } from '../judge/fair-shares.ts';
import { judge } from '../judge/judge.ts';
import { type Counters, countersOf } from '../judge/reports.ts';
import { judgeTogether } from '../judge/together.ts';
import { type Analysed, analyse, type Sight } from './analyse.ts';
import type { MeasurementRequest } from './measurement.ts';
import { metricsOf } from './metrics.ts';
import { judgeMismatch, judgeMismatchTogether } from './mismatch.ts';
import { type AnalysisProblem, analysisInForce, type SharedAnalyses, sharedAnalyses } from './shared.ts';

type Known = Pick<Facts, 'reports' | 'measured' | 'mirrored' | 'mirroredBy' | 'fleetSize' | 'analysis'>;

export type Found = Pick<Analysed, 'conclusion' | 'message' | 'nextMs'>;

/** The analyses of one decision: each look is written into the draft, and what has to be fetched for it is gathered. */
export class Analyses {
  readonly wanted: MeasurementRequest[] = [];
  readonly #draft: Draft;
  readonly #facts: Known;
  readonly #rollout: RolloutObject;
  #counters: Counters | undefined;

  constructor(draft: Draft, facts: Known, rollout: RolloutObject) {
    this.#draft = draft;
    this.#facts = facts;
    this.#rollout = rollout;
  }

  /** What the strategy refers to, as it is in force for the canary that is under way; without one, as it would be. */
  get shared(): SharedAnalyses {
    const { canary, abort, analyses } = this.#draft;
    const copies = canary === undefined || abort !== undefined ? [] : analyses;
    return sharedAnalyses(this.#rollout, copies, this.#facts.analysis);
  }

  /** Copies what the canary is judged by and has no copy of yet; says why it cannot. */
  copy(): AnalysisProblem | undefined {
    const { shared } = this;
    if (shared.kind === 'Missing') return shared;
    this.#draft.analyses = shared.copies;
    return undefined;
  }

  /** Undefined: there is no copy of what it refers to. */
  inForce(analysis: AnalysisStep): AnalysisSpec | undefined {
    return analysisInForce(analysis, this.#draft.analyses);
  }

  /** Beside the steps. Undefined: nothing is measured now. `elapsedMs` since the decision before. */
  beside(spec: BackgroundAnalysis | undefined, elapsedMs: number): Found | undefined {
    const { weight, step, canary, abort } = this.#draft;
    if (spec === undefined || canary === undefined || abort !== undefined || weight === 0) return undefined;
    if ((step?.index ?? 0) < spec.startingStep) return undefined;
    const inForce = this.inForce(spec);
    return inForce && this.#look(inForce, undefined, { elapsedMs, ended: false });
  }

  /** Of an analysis step. */
  inStep(
    index: number,
    spec: AnalysisSpec,
    at: { readonly elapsedMs: number; readonly ended: boolean },
  ): Found {
    return this.#look(spec, index, at);
  }

  #look(
    spec: Pick<AnalysisSpec, 'metrics' | 'onInconclusive'>,
    step: number | undefined,
    at: { readonly elapsedMs: number; readonly ended: boolean },
  ): Found {
    const { metrics, wanted, ...found } = analyse({
      ...at,
      metrics: metricsOf(spec),
      onInconclusive: spec.onInconclusive,
      step,
      before: this.#draft.analysis,
      sight: this.#sight,
    });
    const isOther = (metric: MetricStatus): boolean => (step === undefined) !== (metric.step === undefined);
    const others = this.#draft.analysis.filter(isOther);
    this.#draft.analysis = step === undefined ? [...metrics, ...others] : [...others, ...metrics];
    this.wanted.push(...wanted);
    return found;
  }

  /** In fair shares where no runtime may decide alone. */
  get #counted(): Counters {
    const counters = countersOf((this.#isCounted ? this.#facts.reports : undefined) ?? new Map());
    return this.#isLarge ? withFairShares(counters) : counters;
  }

  /** A canary that this decision binds, or tries again, was not counted yet. */
  get #isCounted(): boolean {
    const [{ canary }, former] = [this.#draft, this.#rollout.status?.canary];
    return canary?.digest === former?.digest && canary?.attempt === former?.attempt;
  }
  /** So many runtimes that none of them may decide alone. */
  get #isLarge(): boolean {
    return (this.#facts.fleetSize ?? 1) > smallFleet;
  }

  get #sight(): Sight {
    const { canary } = this.#draft;
    const { metadata } = this.#rollout;
    const { mirrored, mirroredBy = [] } = this.#facts;
    const judged = this.#isLarge ? judgeTogether : judge;
    return {
      counted: (spec, moment) => judged((this.#counters ??= this.#counted), spec, moment),
      mirrored: (spec, moment) =>
        this.#isLarge
          ? judgeMismatchTogether(this.#isCounted ? mirroredBy : [], spec, moment)
          : judgeMismatch(this.#isCounted ? mirrored : undefined, spec, moment),
      measured: (id, number) => this.#facts.measured?.(id, number),
      subject: JSON.stringify([metadata.uid, canary?.digest, canary?.attempt]),
    };
  }
}

/** True for what was found beside the steps and is not measured any more. */
const isFound = ({ step, phase }: MetricStatus): boolean =>
  step === undefined && phase !== 'Running' && phase !== 'Success';

/** True when what is measured beside the steps waits for a person. */
export const needsPerson = (spec: AnalysisSpec | undefined, analysis: readonly MetricStatus[]): boolean => {
  if (spec === undefined) return false;
  const classes = new Map(metricsOf(spec).map(({ name, policy }) => [name, policy.class]));
  const found = analysis.filter(isFound).flatMap(({ name, phase }) => {
    const metricClass = classes.get(name);
    return metricClass === undefined ? [] : [{ class: metricClass, phase }];
  });
  return conclude(found, { ended: false, onInconclusive: spec.onInconclusive }) === 'Pause';
};

/** What was found beside the steps is measured anew. */
export const besideAnew = (analysis: readonly MetricStatus[]): readonly MetricStatus[] =>
  analysis.map((metric) => (isFound(metric) ? anew(metric) : metric));

/** A metric that is measured anew; its measurements go on being numbered. */
export const anew = (metric: MetricStatus): MetricStatus => ({
  ...metric,
  phase: 'Running',
  taken: 0,
  failed: 0,
  inconclusive: 0,
  consecutiveErrors: 0,
  waitedMs: 0,
});
