import { parseDuration } from '../../src/api/duration.ts';
import type { RolloutStatus } from '../../src/api/rollout-status.ts';
import type { SoakStep } from './names.ts';

/** A status may be seen so much later than it was written, in milliseconds. */
const lateMs = 1500;
/** Times of the API server have no fractions. */
const secondMs = 1000;

/** When a status was seen, and when the API server took it, to the second, if it says that. Milliseconds. */
export type Moment = { readonly seen: number; readonly written?: number | undefined };

/** The most that may have passed between two: on a busy machine both may be seen late, and the first one later. */
const between = (from: Moment, to: Moment): number => {
  const seen = to.seen - from.seen;
  if (from.written === undefined || to.written === undefined) return seen;
  return Math.max(seen, to.written - from.written + secondMs);
};

type Pause = {
  readonly at: Moment;
  readonly step: string;
  readonly durationMs: number;
  readonly request: string;
};

const stepOf = ({ canary, step }: RolloutStatus): string =>
  canary === undefined || step === undefined
    ? ''
    : `${canary.uid} ${canary.attempt} ${step.hash} ${step.index}`;

const durationOf = ({ step }: RolloutStatus, steps: readonly SoakStep[]): number | undefined => {
  const { duration } = (steps[step?.index ?? steps.length]?.pause ?? {}) as { readonly duration?: string };
  return duration === undefined ? undefined : parseDuration(duration);
};

/** Whether the pauses of a rollout are as long as they should be. */
export class Pauses {
  judged = 0;
  readonly #steps: readonly SoakStep[];
  readonly #isCalm: (from: number, to: number) => boolean;
  #pause: Pause | undefined;

  /** `isCalm`: whether statuses of that time were seen as soon as they were written. */
  constructor(steps: readonly SoakStep[], isCalm: (from: number, to: number) => boolean) {
    this.#steps = steps;
    this.#isCalm = isCalm;
  }

  /** What is wrong with the pause that ended with this status, if one did. */
  see(at: Moment, status: RolloutStatus, isNext: boolean): string | undefined {
    const [step, request] = [stepOf(status), status.lastHandledRequest ?? ''];
    const pause = this.#pause;
    if (pause?.step === step && step !== '') {
      // Somebody asked for its end: it may be carried out later.
      if (pause.request !== request) this.#pause = undefined;
      return undefined;
    }
    const durationMs =
      step === '' || status.abort !== undefined ? undefined : durationOf(status, this.#steps);
    this.#pause = durationMs === undefined || !isNext ? undefined : { at, step, durationMs, request };
    const isOver = status.abort === undefined && status.completionStatus !== 'Superseded';
    if (pause === undefined || !isNext || !isOver || pause.request !== request) return undefined;
    const isSameCanary = step.startsWith(pause.step.split(' ').slice(0, 2).join(' '));
    if ((!isSameCanary && status.completionStatus !== 'Promoted') || !this.#isCalm(pause.at.seen, at.seen))
      return undefined;
    this.judged++;
    const lasted = between(pause.at, at);
    return lasted < pause.durationMs - lateMs
      ? `a pause of ${pause.durationMs} ms lasted ${Math.round(lasted)} ms`
      : undefined;
  }
}
