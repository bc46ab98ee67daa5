import type { AvailableMemory } from '../../machine/available-memory.ts';
import type { CacheShape, KvElement } from '../session/kv-cache.ts';
import { rowTokens } from '../session/kv-rows.ts';

/** What is wanted of keys and values. */
export type KvWish = {
  /** Absent: as the memory allows. */
  readonly budgetBytes?: number | undefined;
  /** `auto`: float32, unless that leaves hardly any room. */
  readonly precision: KvElement | 'auto';
  /** Undefined where nobody can tell. */
  readonly available: AvailableMemory | undefined;
  /** Budgets of adapters and of compiled structures, and of other processes. */
  readonly besideBytes: number;
  /** Requests that run at the same time. */
  readonly requests: number;
};

export type KvPlan = {
  readonly budgetBytes: number;
  readonly precision: KvElement;
  /** Why it is not float32 though nobody said so. */
  readonly because?: string;
};

/** What a node has when nothing is known of its machine, and at least where there is that much. */
const usualBytes = 512 << 20;
/** Less would keep nothing but the shortest requests. */
const leastBytes = 64 << 20;
/** The processes themselves, apart from weights and budgets; and of the rest a part for what nobody thought of. */
const processBytes = 384 << 20;
const spareShare = 0.1;
/** RAM of the weights over their bytes in the model, at most; what does not grow with them is of the processes (docs/adr/0045). */
const packedRatio = 1.4;
/** A request that a node has to have room for. */
const decentTokens = 2048;

/** What the machine leaves, up to what all requests could use at once. */
const budgetFor = (
  { available, besideBytes, requests }: KvWish,
  model: { readonly shape: CacheShape; readonly contextLength: number; readonly weightBytes: number },
): number => {
  if (available === undefined) return usualBytes;
  const spare = available.bytes * (1 - spareShare);
  const rest = spare - processBytes - besideBytes - packedRatio * model.weightBytes;
  const { entries, kvHeads } = model.shape;
  const most = entries * kvHeads * requests * headBytes(model.shape, model.contextLength);
  const share = available.own ? rest : rest / 2;
  const wanted = Math.min(Math.max(share, usualBytes), Math.max(most, usualBytes));
  const mebibyte = 1 << 20;
  return Math.floor(Math.max(leastBytes, Math.min(rest, wanted)) / mebibyte) * mebibyte;
};

const pageBytes = 4096;

const headBytes = ({ headSize }: CacheShape, tokens: number): number =>
  Math.ceil((tokens * headSize * Float32Array.BYTES_PER_ELEMENT) / pageBytes) * pageBytes;

/** How much memory keys and values get, and how they are stored. `shape` is that of float32. */
export const kvPlanOf = (
  wish: KvWish,
  model: { readonly shape: CacheShape; readonly contextLength: number; readonly weightBytes: number },
): KvPlan => {
  const budgetBytes = wish.budgetBytes ?? budgetFor(wish, model);
  if (wish.precision !== 'auto') return { budgetBytes, precision: wish.precision };
  const tokens = rowTokens(model.shape, budgetBytes);
  // Who says how much it is has chosen.
  if (wish.budgetBytes !== undefined || tokens >= Math.min(decentTokens, model.contextLength))
    return { budgetBytes, precision: 'float32' };
  const because = `in float32 the memory of this machine holds a request of ${tokens} tokens at most`;
  return { budgetBytes, precision: 'int8', because };
};
