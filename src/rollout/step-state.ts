import { parseDuration } from '../api/duration.ts';
import type { Step } from '../api/rollout.ts';
import type { Draft } from './draft.ts';
import { hash64Hex } from './hash.ts';

/** Time that counts is written down at least so often: a restart loses no more than this. */
export const checkpointMs = 30_000;

const stepText = ({ setWeight, pause, preload, analysis, setMirrorRoute }: Step): string => {
  // A validated manifest has its keys in the order of the schema.
  if (analysis !== undefined) {
    const { ref, onInconclusive = 'Pause' } = analysis;
    return `analysis ${JSON.stringify(ref === undefined ? { ...analysis, onInconclusive } : analysis)}`;
  }
  if (setMirrorRoute !== undefined) return `setMirrorRoute ${setMirrorRoute.percentage}`;
  if (preload !== undefined) return `preload ${preload.successThreshold ?? ''}`;
  return setWeight === undefined ? `pause ${pause?.duration ?? ''}` : `setWeight ${setWeight}`;
};

/** Changes when the steps do; the order of keys in a manifest does not matter. */
export const stepsHash = (steps: readonly Step[]): string => hash64Hex(steps.map(stepText).join('\n'));

export const firstStep = (steps: readonly Step[]): NonNullable<Draft['step']> => ({
  index: 0,
  total: steps.length,
  hash: stepsHash(steps),
  elapsedMs: 0,
  promoted: false,
});

/** What the canary gets, for people. */
export const sharesText = ({ weight, mirror }: Pick<Draft, 'weight' | 'mirror'>): string =>
  `canary at ${weight} %${mirror === 0 ? '' : `, ${mirror} % mirrored`}`;

/** A duration in milliseconds; undefined: there is none. */
export const durationOf = (duration: string | undefined): number | undefined => {
  if (duration === undefined) return undefined;
  try {
    return parseDuration(duration);
  } catch {
    // The schema refuses such a field. Should one get here all the same, a person decides: a weight is never raised by mistake.
    return undefined;
  }
};
