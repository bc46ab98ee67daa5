import { flagOf } from '../../settings/settings.ts';
import type { Machine } from '../machine/machine.ts';

/** Settings that may be left to the machine. */
export type Automatic = {
  readonly threads: number | 'auto';
  readonly adapterMemory: number | 'auto';
};

/** The same, with every `auto` decided. */
export type Chosen = { readonly [name in keyof Automatic]: number };

/** One setting that was chosen, and why, as a sentence for people. */
export type Choice = { readonly setting: string; readonly value: number; readonly why: string };

const mib = 2 ** 20;

/**
 * Of the memory, for resident adapters. In float32 a sixth of 2 GiB holds eight adapters of rank 16 for all linears of a model of 0.5
 * billion parameters (8 x 35 MB), a sixth of 4 GiB those of 1 billion and more (8 x 45 MB); in float16 twice as many.
 */
const adapterShare = 6;
const leastBytes = 64 * mib;
/** Eight adapters of rank 16 for all linears of a model of 7 billion parameters take 1.3 GiB. */
const mostBytes = 2048 * mib;
/** A machine without a limit is there for others as well. */
const freeShare = 2;
/** A step of a small model gets no faster with more. */
const mostThreads = 8;

const gibText = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
const coresText = (count: number): string => `${count} ${count === 1 ? 'core' : 'cores'}`;

const threadsFor = ({ physical, quota }: Machine['cores']): { value: number; why: string } => {
  const limited = quota !== undefined && quota < physical;
  const cores = limited ? Math.max(1, Math.floor(quota)) : physical;
  const from = limited
    ? `the processor limit of the container (${Number(quota.toFixed(2))})`
    : `${coresText(cores)} of this machine`;
  // With two, the second thread gains more than the other process, which is idle for most of a step, takes from it.
  if (cores <= 2) return { value: cores, why: `by ${from}` };
  const value = Math.min(mostThreads, cores - 1);
  return { value, why: `by ${from}, of which one is left to everything else` };
};

const budgetFor = ({ bytes, kind }: Machine['memory']): { value: number; why: string } => {
  const usable = kind === 'limit' ? bytes : bytes / freeShare;
  const share = Math.min(mostBytes, Math.max(leastBytes, usable / adapterShare));
  const from =
    kind === 'limit'
      ? `1/${adapterShare} of the memory limit of ${gibText(bytes)}`
      : `1/${adapterShare * freeShare} of the ${gibText(bytes)} that this machine has available`;
  const bound = share === mostBytes ? ', at most 2 GiB' : share === leastBytes ? ', at least 64 MiB' : '';
  return { value: Math.floor(share / mib) * mib, why: `${from}${bound}` };
};

/** Decides what was left to the machine. `choices` has only what was chosen here. */
export const choose = <S extends Automatic>(
  settings: S,
  machine: Machine,
): { readonly settings: Omit<S, keyof Automatic> & Chosen; readonly choices: readonly Choice[] } => {
  const choices: Choice[] = [];
  const decided = (name: keyof Automatic, found: () => { value: number; why: string }): number => {
    const given = settings[name];
    if (given !== 'auto') return given;
    const { value, why } = found();
    choices.push({ setting: flagOf(name), value, why });
    return value;
  };
  const threads = decided('threads', () => threadsFor(machine.cores));
  const adapterMemory = decided('adapterMemory', () => budgetFor(machine.memory));
  return { settings: { ...settings, threads, adapterMemory }, choices };
};
