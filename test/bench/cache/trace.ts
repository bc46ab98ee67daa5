import { seededRandom } from '../../../src/runtime/engine/random.ts';

/** An adapter as a cache sees it. */
export type Item = {
  readonly key: string;
  readonly bytes: number;
  /** Milliseconds that a miss costs. */
  readonly reloadMs: number;
};

export type Trace = {
  readonly name: string;
  readonly capacityBytes: number;
  readonly items: readonly Item[];
  readonly requests: readonly Item[];
};

type Random = () => number;
type Sizes = (index: number) => Pick<Item, 'bytes' | 'reloadMs'>;

const megabyte = 1e6;
/** From the compiled file: what bench `cold` measures, about. */
const reloadOf = (bytes: number): number => 5 + (0.75 * bytes) / megabyte;
const equal: Sizes = () => ({ bytes: 10 * megabyte, reloadMs: reloadOf(10 * megabyte) });

/** Shares of n adapters by rank, the i-th proportional to 1 / i^exponent. */
export const zipfShares = (n: number, exponent: number): readonly number[] => {
  const weights = Array.from({ length: n }, (_, i) => (i + 1) ** -exponent);
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
};

/** Draws ranks from 0. */
export const zipf = (n: number, exponent: number, random: Random): (() => number) => {
  let sum = 0;
  const cumulative = zipfShares(n, exponent).map((share) => (sum += share));
  return () => {
    const point = random();
    let [low, high] = [0, n - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((cumulative[middle] ?? 1) > point) high = middle;
      else low = middle + 1;
    }
    return low;
  };
};

export const shuffled = (n: number, random: Random): number[] => {
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j] ?? 0, order[i] ?? 0];
  }
  return order;
};

export type TraceOptions = { readonly adapters: number; readonly room: number; readonly length: number };

type Draw = (options: TraceOptions, random: Random) => () => number;

/** `draw` gives the index of the adapter of each request; room is for so many of the mean size. */
const make = (
  name: string,
  draw: Draw,
  sizes: (random: Random) => Sizes = () => equal,
): ((options: TraceOptions, seed: number) => Trace) => {
  return (options, seed) => {
    const random = seededRandom(seed);
    const size = sizes(random);
    const items = Array.from({ length: options.adapters }, (_, i) => ({ key: `adapter-${i}`, ...size(i) }));
    const mean = items.reduce((sum, { bytes }) => sum + bytes, 0) / items.length;
    const next = draw(options, random);
    const requests = Array.from({ length: options.length }, () => items[next()]).filter(
      (item) => item !== undefined,
    );
    return { name, items, requests, capacityBytes: Math.round(mean * options.room) };
  };
};

const independent =
  (exponent: number): Draw =>
  ({ adapters }, random) => {
    const order = shuffled(adapters, random);
    const rank = zipf(adapters, exponent, random);
    return () => order[rank()] ?? 0;
  };

/** Zipf(1.0); after each 4,000 requests a job asks for 500 adapters once, one after the other. */
const scans: Draw = ({ adapters }, random) => {
  const live = independent(1)({ adapters, room: 0, length: 0 }, random);
  let at = 0;
  let position = 0;
  return () => {
    at += 1;
    if (at % 4_500 < 4_000) return live();
    position = (position + 1) % adapters;
    return position;
  };
};

/** Zipf(1.0), all ranks dealt anew after each 10,000 requests. */
const shifts: Draw = ({ adapters }, random) => {
  const rank = zipf(adapters, 1, random);
  let order = shuffled(adapters, random);
  let at = 0;
  return () => {
    at += 1;
    if (at % 10_000 === 0) order = shuffled(adapters, random);
    return order[rank()] ?? 0;
  };
};

/** Zipf(1.0); before each 20th request two adapters change their ranks. */
const drift: Draw = ({ adapters }, random) => {
  const rank = zipf(adapters, 1, random);
  const order = shuffled(adapters, random);
  let at = 0;
  return () => {
    at += 1;
    if (at % 20 === 0) {
      const [i, j] = [rank(), Math.floor(random() * adapters)];
      [order[i], order[j]] = [order[j] ?? 0, order[i] ?? 0];
    }
    return order[rank()] ?? 0;
  };
};

/** 16 sessions at a time; each asks one adapter, drawn by Zipf(0.8), 10 times on average. */
const bursts: Draw = (options, random) => {
  const pick = independent(0.8)(options, random);
  const sessions = Array.from({ length: 16 }, pick);
  return () => {
    const which = Math.floor(random() * sessions.length);
    const adapter = sessions[which] ?? 0;
    if (random() < 0.1) sessions[which] = pick();
    return adapter;
  };
};

/** Seven of ten requests: people with Zipf(1.0) over one half. Three: a job that goes round 200 of the other half. */
const tenants: Draw = ({ adapters }, random) => {
  const half = Math.floor(adapters / 2);
  const people = independent(1)({ adapters: half, room: 0, length: 0 }, random);
  let position = 0;
  return () => {
    if (random() < 0.7) return people();
    position = (position + 1) % Math.min(200, half);
    return half + position;
  };
};

/** 5 to 50 MB, evenly by order of magnitude. */
const mixed =
  (random: Random): Sizes =>
  () => {
    const bytes = Math.round(5 * megabyte * 10 ** random());
    return { bytes, reloadMs: reloadOf(bytes) };
  };

/** Every fifth would have to be fetched again. */
const fetched = (): Sizes => (index) => {
  const { bytes, reloadMs } = equal(index);
  return { bytes, reloadMs: index % 5 === 0 ? reloadMs + 400 : reloadMs };
};

/** The traces that policies are compared on. */
export const traces: Readonly<Record<string, (options: TraceOptions, seed: number) => Trace>> = {
  zipf08: make('zipf08', independent(0.8)),
  zipf10: make('zipf10', independent(1)),
  zipf12: make('zipf12', independent(1.2)),
  scans: make('scans', scans),
  shifts: make('shifts', shifts),
  drift: make('drift', drift),
  bursts: make('bursts', bursts),
  sizes: make('sizes', independent(1), mixed),
  fetched: make('fetched', independent(1), fetched),
  tenants: make('tenants', tenants),
};
