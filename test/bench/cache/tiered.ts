import { beladyCache } from './belady.ts';
import { boundOf } from './bound.ts';
import { gdsfCache } from './gdsf.ts';
import { lruCache } from './lru.ts';
import { runtimeTiers } from './runtime-tiers.ts';
import { s3fifoCache } from './s3fifo.ts';
import { polite, type TieredOptions, tieredTraces } from './tiered-trace.ts';
import { simulateTiers, type TieredOutcome, type TiersMaker, tiersOf } from './tiers.ts';
import { wtinylfuCache } from './wtinylfu.ts';

const mebibyte = 2 ** 20;

/** The first two are the runtime itself. */
const policies: Readonly<Record<string, TiersMaker>> = {
  adaptlet: runtimeTiers('hit-density', { downloads: true, hourlyBytes: 256 * mebibyte }),
  no_prefetch: runtimeTiers('hit-density'),
  lru: tiersOf(lruCache),
  s3fifo: tiersOf(s3fifoCache),
  wtinylfu: tiersOf(wtinylfuCache),
  gdsf: tiersOf(gdsfCache),
  belady: tiersOf(beladyCache),
};

const measures = {
  ram: ({ hitRatio }: TieredOutcome) => hitRatio,
  ram_bytes: ({ byteHitRatio }: TieredOutcome) => byteHitRatio,
  near: ({ nearRatio }: TieredOutcome) => nearRatio,
  near_bytes: ({ nearByteRatio }: TieredOutcome) => nearByteRatio,
} as const;

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

/** Of each trace and policy: ratios, the mean over seeds, and milliseconds of loading for an average request, by seed. */
export const compareTiers = async (
  options: TieredOptions,
  seeds: readonly number[],
  warmUp: number,
): Promise<{ readonly ratios: Record<string, number>; readonly ms: Record<string, readonly number[]> }> => {
  const ratios: Record<string, number> = {};
  const ms: Record<string, readonly number[]> = {};
  for (const [name, make] of Object.entries(tieredTraces)) {
    const traces = seeds.map((seed) => make(options, seed));
    for (const [policy, maker] of Object.entries(policies)) {
      const outcomes: TieredOutcome[] = [];
      for (const trace of traces) outcomes.push(await simulateTiers(trace, maker, warmUp));
      for (const [measure, of] of Object.entries(measures))
        ratios[`${name}_${measure}_${policy}`] = mean(outcomes.map(of));
      ms[`${name}_${policy}`] = outcomes.map((outcome) => outcome.ms);
      if (name === 'guarantees') {
        const ofOwners = (owners: readonly string[]) =>
          mean(outcomes.map(({ hitRatioOf }) => hitRatioOf(owners)));
        ratios[`guaranteed_ram_${policy}`] = ofOwners(polite);
        ratios[`smallest_ram_${policy}`] = ofOwners(polite.slice(-1));
      }
      for (const tier of ['disk', 'ram'] as const) {
        const counts = outcomes.flatMap(({ prefetched }) => prefetched?.[tier] ?? []);
        const brought = counts.reduce((sum, { broughtBytes }) => sum + broughtBytes, 0);
        if (brought === 0) continue;
        const wasted = counts.reduce((sum, { wastedBytes }) => sum + wastedBytes, 0);
        ratios[`${name}_prefetch_wasted_${tier}_${policy}`] = wasted / brought;
        ratios[`${name}_prefetch_hits_${tier}_${policy}`] =
          mean(counts.map(({ hits }) => hits)) / options.length;
      }
      console.error(`cache: ${name}, ${policy} done`);
    }
    const bounds = traces.map((trace) => boundOf(trace, warmUp));
    ratios[`${name}_ram_bound`] = mean(bounds.map(({ hitRatio }) => hitRatio));
    ratios[`${name}_ram_bytes_bound`] = mean(bounds.map(({ byteHitRatio }) => byteHitRatio));
    ratios[`${name}_near_bound`] = mean(bounds.map(({ nearRatio }) => nearRatio));
    ratios[`${name}_near_bytes_bound`] = mean(bounds.map(({ nearByteRatio }) => nearByteRatio));
    ms[`${name}_bound`] = bounds.map((bound) => bound.ms);
  }
  return { ratios, ms };
};
