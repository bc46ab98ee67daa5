/** Asks again and again until stopped; how long each answer took, and what went wrong. */
export const latency = (ask: () => Promise<void>) => {
  let running = true;
  const times: number[] = [];
  const failures: unknown[] = [];
  const loop = (async (): Promise<void> => {
    while (running) {
      const started = performance.now();
      await ask().catch((error: unknown) => failures.push(error));
      times.push(performance.now() - started);
    }
  })();
  return {
    failures,
    /** Ends it; milliseconds below which 99 of 100 answers stayed. */
    async stop(): Promise<number> {
      running = false;
      await loop;
      const sorted = times.toSorted((a, b) => a - b);
      return sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN;
    },
  };
};
