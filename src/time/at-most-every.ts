/** A function that does something the first time, and then again once at least `ms` milliseconds have passed. */
export const atMostEvery = (ms: number, now: () => number, act: () => void): (() => void) => {
  let last = Number.NEGATIVE_INFINITY;
  return () => {
    const time = now();
    if (time - last < ms) return;
    last = time;
    act();
  };
};
