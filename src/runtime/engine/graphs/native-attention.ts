import { nativeAttention } from '../onnx/attention-operator.ts';
import { proveAttention } from '../proofs/prove-attention.ts';
import type { ModelGraphs, ModelGraphsOptions } from './model-graphs.ts';

type Options = Pick<
  ModelGraphsOptions,
  'operator' | 'headSize' | 'threads' | 'cacheDir' | 'doing' | 'signal' | 'warn'
>;

/**
 * The graphs of a base model with attention by the native operator, once that was proved: a token has the same bits whatever else a step
 * computes. Where the operator does not do what a graph asks, or the proof fails, they stay as they are, and `warn` is told.
 */
export const withNativeAttention = async (
  graphs: ModelGraphs,
  { operator, headSize, threads, cacheDir, doing, signal, warn }: Options,
  prove: typeof proveAttention = proveAttention,
): Promise<ModelGraphs> => {
  if (operator === undefined) return graphs;
  const base = nativeAttention(graphs.base, headSize, threads);
  const lora = nativeAttention(graphs.lora, headSize, threads);
  if (base === undefined || lora === undefined) return graphs;
  const stays = (why: string): ModelGraphs => {
    warn(`attention is ONNX Runtime's, by which guessed tokens may change an answer at a near tie: ${why}`);
    return graphs;
  };
  if ('lacks' in base) return stays(`the native operator does not take ${base.lacks}`);
  if ('lacks' in lora) return stays(`the native operator does not take ${lora.lacks}`);
  try {
    await prove(base.nodes, { threads, operator, cacheDir, doing, warn });
  } catch (error) {
    signal.throwIfAborted();
    return stays(String(error));
  }
  return { ...graphs, base: base.model, lora: lora.model };
};
