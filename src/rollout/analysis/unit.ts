import type { Strategy } from '../../api/rollout.ts';
import type { AnalysisCopy, MetricStatus } from '../../api/rollout-status.ts';
import type { JudgeSpec, ThresholdSpec } from '../judge/spec.ts';
import { text } from '../judge/verdict.ts';
import { backgroundOf, stepsOf } from '../strategy.ts';
import { type MeasuredMetric, metricsOf } from './metrics.ts';
import { analysisInForce } from './shared.ts';

/** How the value and the bound of a metric are to be read. */
export type Unit = {
  /** What follows the number. With a `factor`, status has it as a share of 1. */
  readonly symbol: '' | ' %' | ' points' | ' ms' | ' times';
  readonly factor: 1 | 100;
  /** The canary minus stable: told with its sign. */
  readonly isDifference: boolean;
};

/** Of a number that nothing more is known about, such as one of Prometheus. */
export const plainUnit: Unit = { symbol: '', factor: 1, isDifference: false };
const difference: Unit = { ...plainUnit, isDifference: true };
const share: Unit = { symbol: ' %', factor: 100, isDifference: false };
/** Differences of shares are points: 3 % is 2 points more than 1 %. */
const points: Unit = { symbol: ' points', factor: 100, isDifference: true };
const milliseconds: Unit = { ...plainUnit, symbol: ' ms' };
const times: Unit = { ...plainUnit, symbol: ' times' };

const ofThreshold = ({ value, of }: ThresholdSpec): Unit => {
  if (of === 'Ratio') return times;
  const isDifference = of === 'Difference';
  if (value === 'errorRatio') return isDifference ? points : share;
  return { ...(value === 'reward' ? plainUnit : milliseconds), isDifference };
};

const ofJudge = (judge: JudgeSpec): Unit => {
  switch (judge.type) {
    case 'sequential':
      if (judge.measure === 'errorRatio') return points;
      return judge.measure === 'latency' ? { ...share, isDifference: true } : difference;
    case 'threshold':
      return ofThreshold(judge);
    case 'mannWhitney':
      return plainUnit;
    case 'sampleRatio':
      return share;
    case 'reward':
      return difference;
  }
};

const unitOf = ({ by }: MeasuredMetric): Unit => {
  if (by.kind === 'mirrored') return share;
  return by.kind === 'counted' ? ofJudge(by.judge) : plainUnit;
};

/** The units of what a strategy measures; plain for what it does not, as after an edit. */
export const unitsOf = (
  strategy: Strategy,
  copies: readonly AnalysisCopy[] = [],
): ((metric: Pick<MetricStatus, 'name' | 'step'>) => Unit) => {
  const steps = stepsOf(strategy);
  return ({ name, step }) => {
    const place = step === undefined ? backgroundOf(strategy) : steps[step]?.analysis;
    const spec = place && analysisInForce(place, copies);
    const metric = spec === undefined ? undefined : metricsOf(spec).find((one) => one.name === name);
    return metric === undefined ? plainUnit : unitOf(metric);
  };
};

/** A number as people read it. */
export const inUnit = (value: number, { symbol, factor, isDifference }: Unit): string => {
  const shown = text(value * factor);
  return `${isDifference && value > 0 && shown !== '0' ? '+' : ''}${shown}${symbol}`;
};
