import type { BlueGreen, Step, Strategy } from '../api/rollout.ts';

/**
 * Blue-green as steps of a canary: ready everywhere, perhaps a wait for a time or a person, then all traffic at once.
 * The former stable needs no step of its own: it stays in RAM while nothing else needs the room, and always on disk.
 */
const stepsOfBlueGreen = ({ autoPromotion, autoPromotionAfter }: BlueGreen): readonly Step[] => {
  const pause: readonly Step[] = autoPromotion
    ? autoPromotionAfter === undefined
      ? []
      : [{ pause: { duration: autoPromotionAfter } }]
    : [{ pause: {} }];
  return [{ preload: {} }, ...pause, { setWeight: 100 }];
};

/** The steps that a strategy amounts to. */
export const stepsOf = ({ canary, blueGreen }: Strategy): readonly Step[] =>
  canary?.steps ?? (blueGreen === undefined ? [] : stepsOfBlueGreen(blueGreen));
