/** Loaded into a runtime by NODE_OPTIONS: its wall clock begins in 1970, as that of a board without a battery. */
const begun = performance.now();
const RealDate = Date;
const now = (): number => Math.floor(performance.now() - begun);

class BoardDate extends RealDate {
  constructor(...given: readonly unknown[]) {
    // As the real one: without arguments it is now.
    super(...((given.length === 0 ? [now()] : given) as [number]));
  }
  static override now = now;
}
globalThis.Date = BoardDate as DateConstructor;
