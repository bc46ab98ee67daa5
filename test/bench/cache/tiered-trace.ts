import { seededRandom } from '../../../src/runtime/engine/random.ts';
import type { MemoryShare } from '../../../src/runtime/residency/accounts.ts';
import { refetchMs, reloadMs } from '../../../src/runtime/residency/eviction-policy.ts';
import { type Item, shuffled, zipf } from './trace.ts';

/** An adapter of a node with RAM over flash. `reloadMs`: from flash into RAM. */
export type StoredItem = Item & {
  /** Namespace. */
  readonly owner: string;
  /** Milliseconds from its registry to flash. */
  readonly fetchMs: number;
  /** It has no object: it comes with a request of its user. */
  readonly isOfUser: boolean;
};

export type Asked = {
  readonly item: StoredItem;
  readonly atMs: number;
  /** What the same route may be asked for next, the likeliest first. */
  readonly next: readonly StoredItem[];
};

export type TieredTrace = {
  readonly items: readonly StoredItem[];
  readonly requests: readonly Asked[];
  readonly ramBytes: number;
  readonly flashBytes: number;
  /** Of RAM, and of flash. */
  readonly shareOf: (owner: string, ofBytes: number) => MemoryShare;
};

export type TieredOptions = {
  readonly users: number;
  /** Adapters of the mean size. */
  readonly inRam: number;
  readonly onFlash: number;
  readonly length: number;
};

type Random = () => number;

const megabyte = 1e6;
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const days = 3;

const noShares = (): MemoryShare => ({ guarantee: 0, limit: Infinity });

/** 5 to 50 MB, evenly by order of magnitude. */
const itemOf = (key: string, owner: string, isOfUser: boolean, random: Random): StoredItem => {
  const bytes = Math.round(5 * megabyte * 10 ** random());
  return { key, owner, bytes, isOfUser, reloadMs: reloadMs(bytes), fetchMs: refetchMs(bytes, false) };
};

const meanOf = (items: readonly Item[]): number =>
  items.reduce((sum, { bytes }) => sum + bytes, 0) / items.length;

const exponential = (mean: number, random: Random): number => -mean * Math.log(1 - random());

/** From 0 to 1, highest at the hour of the user's own noon. */
const activity = (noonMs: number, atMs: number): number =>
  ((1 + Math.cos((2 * Math.PI * (atMs - noonMs)) / dayMs)) / 2) ** 4;

type People = { readonly apps: readonly StoredItem[]; readonly own: readonly StoredItem[] };

const peopleOf = (users: number, random: Random): People => ({
  apps: Array.from({ length: 20 }, (_, i) => itemOf(`app-${i}`, 'people', false, random)),
  own: Array.from({ length: users }, (_, i) => itemOf(`user-${i}`, 'people', true, random)),
});

/**
 * Sessions of users, by Zipf(0.9), who are awake in three time zones. A session has five requests on average, one a
 * minute: the first for the adapter of its app, of the others four of five for the user's own.
 */
const sessions = (length: number, { apps, own }: People, random: Random): Asked[] => {
  const rank = zipf(own.length, 0.9, random);
  const order = shuffled(own.length, random);
  const appRank = zipf(apps.length, 1, random);
  const zones = [0, 0, 0, 0, 0, 0, 8, 8, 8, 16];
  const habits = own.map(() => ({
    app: apps[appRank()],
    noonMs: ((zones[Math.floor(random() * zones.length)] ?? 0) + 12 + 3 * (random() - 0.5)) * hourMs,
  }));
  const requests: Asked[] = [];
  while (requests.length < length) {
    const user = order[rank()] ?? 0;
    const [item, habit] = [own[user], habits[user]];
    let atMs = random() * days * dayMs;
    if (item === undefined || habit?.app === undefined || random() > activity(habit.noonMs, atMs)) continue;
    const { app } = habit;
    requests.push({ item: app, atMs, next: [item] });
    while (random() < 0.8) {
      atMs += exponential(60_000, random);
      requests.push(random() < 0.8 ? { item, atMs, next: [app] } : { item: app, atMs, next: [item] });
    }
  }
  return requests;
};

const byTime = (requests: readonly Asked[]): readonly Asked[] => requests.toSorted((a, b) => a.atMs - b.atMs);

const roomsFor = ({ inRam, onFlash }: TieredOptions, items: readonly Item[]) => {
  const mean = meanOf(items);
  return { ramBytes: Math.round(mean * inRam), flashBytes: Math.round(mean * onFlash) };
};

const usersByDay = (options: TieredOptions, seed: number): TieredTrace => {
  const random = seededRandom(seed);
  const people = peopleOf(options.users, random);
  const items = [...people.apps, ...people.own];
  const requests = byTime(sessions(options.length, people, random));
  return { items, requests, shareOf: noShares, ...roomsFor(options, items) };
};

/** The same, and each night a job asks for a third of so many adapters once, which nobody asks for again. */
const oneTimers = (options: TieredOptions, seed: number): TieredTrace => {
  const random = seededRandom(seed);
  const people = peopleOf(options.users, random);
  const once = Array.from({ length: options.users }, (_, i) => itemOf(`once-${i}`, 'people', true, random));
  const nightly = Math.ceil(once.length / days);
  const job = once.map((item, i): Asked => {
    const atMs = Math.floor(i / nightly) * dayMs + 2 * hourMs + ((i % nightly) / nightly) * 4 * hourMs;
    return { item, atMs, next: [] };
  });
  const items = [...people.apps, ...people.own, ...once];
  const requests = byTime([...sessions(options.length, people, random), ...job]);
  return { items, requests, shareOf: noShares, ...roomsFor(options, people.own) };
};

export const polite = Array.from({ length: 8 }, (_, i) => `tenant-${i}`);

/**
 * Eight tenants with 100 adapters each, by Zipf(0.7) over tenants and Zipf(1.0) within one, each with a guarantee of a
 * sixteenth; and one without that goes round 1,000 adapters, with four of ten requests.
 */
const guarantees = (options: TieredOptions, seed: number): TieredTrace => {
  const random = seededRandom(seed);
  const theirs = polite.map((owner) =>
    Array.from({ length: 100 }, (_, i) => itemOf(`${owner}-${i}`, owner, false, random)),
  );
  const greedy = Array.from({ length: 1_000 }, (_, i) => itemOf(`greedy-${i}`, 'greedy', false, random));
  const tenant = zipf(polite.length, 0.7, random);
  const rank = zipf(100, 1, random);
  let at = 0;
  const draw = (): StoredItem | undefined => {
    if (random() >= 0.4) return theirs[tenant()]?.[rank()];
    at = (at + 1) % greedy.length;
    return greedy[at];
  };
  const requests = Array.from({ length: options.length }, (_, i) => ({ item: draw(), atMs: i * 5_000 }));
  const items = [...theirs.flat(), ...greedy];
  return {
    items,
    requests: requests.flatMap(({ item, atMs }) => (item === undefined ? [] : [{ item, atMs, next: [] }])),
    shareOf: (owner, ofBytes) => ({
      guarantee: owner === 'greedy' ? 0 : ofBytes / (2 * polite.length),
      limit: Infinity,
    }),
    ...roomsFor(options, items),
  };
};

export const tieredTraces: Readonly<Record<string, (options: TieredOptions, seed: number) => TieredTrace>> = {
  users: usersByDay,
  one_timers: oneTimers,
  guarantees,
};
