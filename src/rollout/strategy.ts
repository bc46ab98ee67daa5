import type { BackgroundAnalysis } from '../api/analysis.ts';
import { percentOf } from '../api/percent.ts';
import type { AbTest, BlueGreen, Shadow, Step, Strategy } from '../api/rollout.ts';

const measured = (analysis: Step['analysis']): readonly Step[] =>
  analysis === undefined ? [] : [{ analysis }];

/**
 * Blue-green as steps of a canary: ready everywhere, perhaps a wait for a time or a person, then all traffic at once.
 * The former stable needs no step of its own: it stays in RAM while nothing else needs the room, and always on disk.
 */
const stepsOfBlueGreen = ({
  autoPromotion,
  autoPromotionAfter,
  prePromotionAnalysis,
  postPromotionAnalysis,
}: BlueGreen): readonly Step[] => {
  const pause: readonly Step[] = autoPromotion
    ? autoPromotionAfter === undefined
      ? []
      : [{ pause: { duration: autoPromotionAfter } }]
    : [{ pause: {} }];
  return [
    { preload: {} },
    ...measured(prePromotionAnalysis),
    ...pause,
    { setWeight: 100 },
    ...measured(postPromotionAnalysis),
  ];
};

/** An A/B test as steps of a canary: ready everywhere, a fixed share, and a comparison of what both sides earn. */
const stepsOfAbTest = ({ weight, duration, goal, promoteWinner }: AbTest): readonly Step[] => [
  { preload: {} },
  { setWeight: weight },
  {
    analysis: {
      duration,
      onInconclusive: 'Pause',
      metrics: [
        {
          name: 'reward',
          source: { builtin: 'Reward' },
          judge: { comparison: goal },
          class: promoteWinner ? 'Guardrail' : 'Signal',
          interval: '10s',
          failureLimit: 0,
          inconclusiveLimit: 0,
          consecutiveErrorLimit: 4,
        },
      ],
    },
  },
  ...(promoteWinner ? [] : [{ pause: {} }]),
];

/**
 * Shadow as steps of a canary: ready everywhere, copies for a while, and a decision when no more of them come. The weight
 * stays 0: until it is stable it never has a caller.
 */
const stepsOfShadow = ({ percentage, duration, maxMismatch, promote }: Shadow): readonly Step[] => [
  { preload: {} },
  { setMirrorRoute: { percentage } },
  maxMismatch === undefined
    ? { pause: { duration } }
    : {
        analysis: {
          duration,
          onInconclusive: 'Pause',
          metrics: [
            {
              name: 'mismatch',
              source: { builtin: 'Mismatch' },
              judge: {
                threshold: {
                  success: { atMost: percentOf(maxMismatch) / 100 },
                  of: 'Canary',
                  quantile: 'Mean',
                  minSampleSize: 100,
                },
              },
              class: 'Guardrail',
              interval: '10s',
              failureLimit: 0,
              inconclusiveLimit: 0,
              consecutiveErrorLimit: 4,
            },
          ],
        },
      },
  { setMirrorRoute: { percentage: 0 } },
  ...(promote ? [] : [{ pause: {} }]),
];

/** The steps that a strategy amounts to. */
export const stepsOf = ({ canary, blueGreen, abTest, shadow }: Strategy): readonly Step[] => {
  if (canary !== undefined) return canary.steps;
  if (blueGreen !== undefined) return stepsOfBlueGreen(blueGreen);
  if (abTest !== undefined) return stepsOfAbTest(abTest);
  return shadow === undefined ? [] : stepsOfShadow(shadow);
};

/** Which of them it is. */
export const strategyNameOf = ({ blueGreen, abTest, shadow }: Strategy): keyof Strategy => {
  if (blueGreen !== undefined) return 'blueGreen';
  if (abTest !== undefined) return 'abTest';
  return shadow === undefined ? 'canary' : 'shadow';
};

/** What is measured beside the steps; undefined: nothing. */
export const backgroundOf = ({ canary, abTest }: Strategy): BackgroundAnalysis | undefined =>
  canary?.analysis ?? (abTest === undefined ? undefined : { startingStep: 0, onInconclusive: 'Continue' });
