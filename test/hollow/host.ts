/** A process of hollow runtimes. It is forked by hosts.ts, does what it is told, and ends with its parent. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { seeded } from '../support/random.ts';
import { type Lie, lyingDial } from './lies.ts';
import { addTraffic, Link, noTraffic } from './link.ts';
import {
  type Answer,
  type EffectiveQuestion,
  machineMs,
  type Names,
  type Order,
  type Orders,
  type Reached,
} from './orders.ts';
import { type Followed, type HollowRuntime, startHollow } from './runtime.ts';
import { SkewedClock } from './skewed-clock.ts';

/** Runtimes that connect at a time when the host starts. */
const batch = 25;
const startMs = 120_000;
const lookMs = 5;

type Hosted = { readonly runtime: HollowRuntime; readonly link: Link; readonly clock: SkewedClock };
const hosted = new Map<string, Hosted>();

type Watch = {
  readonly question: EffectiveQuestion;
  readonly left: Set<string>;
  readonly at: Record<string, number>;
  readonly done: () => void;
};
const watches = new Set<Watch>();
/** False reports that were sent, by what they say falsely. */
const lies: Partial<Record<Lie, number>> = {};

const named = (names: Names): [string, Hosted][] =>
  [...hosted].filter(([name]) => names === 'all' || names.includes(name));

/** Looks whether a runtime came as far as a watch waits for. */
const look = (watch: Watch, name: string): void => {
  if (!watch.left.has(name)) return;
  const { rollout, weight } = watch.question;
  const weights = hosted.get(name)?.runtime.weights(rollout);
  if (weights?.allowed !== weight || weights.effective !== weight) return;
  watch.left.delete(name);
  watch.at[name] = machineMs();
  if (watch.left.size === 0) watch.done();
};

const whenConnected = async (names: Names, timeoutMs: number): Promise<Reached> => {
  const at: Record<string, number> = {};
  const left = new Map(named(names));
  const end = machineMs() + timeoutMs;
  for (;;) {
    for (const [name, { runtime }] of left) {
      if (!runtime.isConnected) continue;
      at[name] = machineMs();
      left.delete(name);
    }
    if (left.size === 0 || machineMs() > end) return { at, missing: [...left.keys()] };
    await sleep(lookMs);
  }
};

const orders: Orders = {
  start: async ({ folder, runtimes, model, behaviour, ...network }) => {
    const at: Record<string, number> = {};
    const missing: string[] = [];
    const why: Record<string, string> = {};
    for (let from = 0; from < runtimes.length; from += batch) {
      const some = runtimes.slice(from, from + batch);
      for (const [index, { namespace, name, tokenFile, serves, lie }] of some.entries()) {
        const link = new Link({ ...network, tokenFile }, from + index);
        const changed = (): void => {
          for (const watch of watches) look(watch, name);
        };
        const data = join(folder, name);
        const clock = new SkewedClock();
        const dial =
          lie === undefined
            ? link.dial
            : lyingDial(link.dial, lie, seeded(crc32(name)).next, () => {
                lies[lie] = (lies[lie] ?? 0) + 1;
              });
        const parts = { namespace, name, serves, clock, folder: data, model, behaviour, dial, changed };
        hosted.set(name, { link, clock, runtime: await startHollow(parts) });
      }
      const reached = await whenConnected(
        some.map(({ name }) => name),
        startMs,
      );
      Object.assign(at, reached.at);
      missing.push(...reached.missing);
      // Now: one that connects later says no more why it was late.
      for (const name of reached.missing) why[name] = hosted.get(name)?.runtime.connection ?? '';
    }
    return { at, missing, why };
  },
  cut: async (names) => {
    for (const [, { link }] of named(names)) link.cut();
  },
  restore: async (names) => {
    for (const [, { link }] of named(names)) link.restore();
  },
  dial: async (addresses) => {
    for (const { link } of hosted.values()) link.addresses = addresses;
  },
  whenConnected: ({ names, timeoutMs }) => whenConnected(names, timeoutMs),
  whenEffective: async (question) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const left = new Set(hosted.keys());
    for (const name of question.except) left.delete(name);
    const watch: Watch = { question, left, at: {}, done: resolve };
    watches.add(watch);
    for (const name of hosted.keys()) look(watch, name);
    const timer = setTimeout(resolve, question.timeoutMs);
    if (left.size > 0) await promise;
    clearTimeout(timer);
    watches.delete(watch);
    return { at: watch.at, missing: [...left] };
  },
  census: async () => {
    const errors: Record<string, number> = {};
    let [connected, traffic] = [0, noTraffic];
    for (const { runtime, link } of hosted.values()) {
      if (runtime.isConnected) connected++;
      traffic = addTraffic(traffic, link.traffic);
      if (runtime.lastError !== '') errors[runtime.lastError] = (errors[runtime.lastError] ?? 0) + 1;
    }
    return { connected, traffic, errors, lies };
  },
  followed: async () => {
    const all: Record<string, Followed> = {};
    for (const [name, { runtime }] of hosted) all[name] = runtime.followed();
    return all;
  },
  skew: async ({ names, ms }) => {
    for (const [, { clock }] of named(names)) clock.skewMs = ms;
  },
  stop: async () => {
    await Promise.all([...hosted.values()].map(({ runtime }) => runtime.close()));
    hosted.clear();
  },
};

const obey = async ({ id, name, argument }: Order): Promise<Answer> => {
  try {
    // Who sends an order gives the argument that it takes.
    const act = orders[name] as (argument: unknown) => Promise<unknown>;
    return { id, answer: await act(argument) };
  } catch (error) {
    return { id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
};

process.on('message', (order: Order) => {
  void obey(order).then((answer) => process.send?.(answer));
});
process.on('disconnect', () => process.exit());
