import type { ObjectKey } from '../../src/api/names.ts';
import type { Lie } from './lies.ts';
import type { Traffic } from './link.ts';
import type { Behaviour } from './ports.ts';
import type { Followed, HollowModel, Serves } from './runtime.ts';

/** A runtime that is enlisted in a cluster. */
export type Enlisted = {
  readonly namespace: string;
  readonly name: string;
  readonly tokenFile: string;
  readonly serves: Serves;
  /** What it says falsely; absent: it tells the truth. */
  readonly lie?: Lie;
};

export type HostOptions = {
  /** Data folders of the runtimes are below it. */
  readonly folder: string;
  readonly caFile: string;
  /** host:port of each replica. */
  readonly addresses: readonly string[];
  readonly model: HollowModel;
  readonly behaviour: Behaviour;
  readonly runtimes: readonly Enlisted[];
};

/** Runtimes of a host. */
export type Names = 'all' | readonly string[];

/** What was waited for, of each runtime. */
export type Reached = {
  /** By {@link machineMs}. */
  readonly at: Readonly<Record<string, number>>;
  /** Those that did not come so far in time. */
  readonly missing: readonly string[];
};

export type Census = {
  readonly connected: number;
  readonly traffic: Traffic;
  /** Why streams ended last, and how many say so. */
  readonly errors: Readonly<Record<string, number>>;
  /** False reports that were sent, by what they say falsely. */
  readonly lies: Readonly<Partial<Record<Lie, number>>>;
};

export type EffectiveQuestion = {
  readonly rollout: ObjectKey;
  /** Percent that the plan allows the canary and that the runtime gives it; 0: it has none, or none that serves. */
  readonly weight: number;
  readonly except: readonly string[];
  readonly timeoutMs: number;
};

/** What a host does when it is told to, and what it answers. */
export type Orders = {
  /** Resolves when all of them are connected. `why`: what each that is missing said of its connection when its time was over. */
  start(options: HostOptions): Promise<Reached & { readonly why: Readonly<Record<string, string>> }>;
  /** Resets their connections; until `restore` they can make none. */
  cut(names: Names): Promise<void>;
  restore(names: Names): Promise<void>;
  /** New connections go to these replicas. */
  dial(addresses: readonly string[]): Promise<void>;
  whenConnected(question: { readonly names: Names; readonly timeoutMs: number }): Promise<Reached>;
  whenEffective(question: EffectiveQuestion): Promise<Reached>;
  census(): Promise<Census>;
  /** What the plan in force of each runtime says. */
  followed(): Promise<Readonly<Record<string, Followed>>>;
  /** From here on the wall time of these is so many milliseconds ahead. */
  skew(wrong: { readonly names: Names; readonly ms: number }): Promise<void>;
  /** Closes them all. */
  stop(): Promise<void>;
};

export type Order = { readonly id: number; readonly name: keyof Orders; readonly argument: unknown };
export type Answer = { readonly id: number; readonly answer?: unknown; readonly error?: string };

/** Milliseconds of the monotonic clock of this machine, the same in all processes. */
export const machineMs = (): number => Number(process.hrtime.bigint()) / 1e6;
