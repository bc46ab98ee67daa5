import { nativeAttention } from '../onnx/attention-operator.ts';
import { cpuProvider } from '../ort/providers.ts';
import { proveAttention } from '../proofs/prove-attention.ts';
import type { ModelGraphs, ModelGraphsOptions } from './model-graphs.ts';

type Options = Pick<
  ModelGraphsOptions,
  'operator' | 'provider' | 'headSize' | 'threads' | 'cacheDir' | 'doing' | 'signal' | 'warn'
>;

/**
 * The graphs of a base model with attention by the native operator, once that was proved: a token has the same bits whatever else a step
 * computes. Where there is no operator, or it does not do what a graph asks, or the proof fails, they stay as they are, and say why.
 */
export const withNativeAttention = async (
  graphs: ModelGraphs,
  { operator, provider, headSize, threads, cacheDir, doing, signal, warn }: Options,
  prove: typeof proveAttention = proveAttention,
): Promise<ModelGraphs> => {
  const base = nativeAttention(graphs.base, headSize, threads);
  const lora = nativeAttention(graphs.lora, headSize, threads);
  if (base === undefined || lora === undefined) return graphs;
  const stays = (foreignAttention: string): ModelGraphs => ({ ...graphs, foreignAttention });
  if (provider !== cpuProvider) return stays(`the model runs on ${provider}`);
  if (operator === undefined) return stays('the native operator is not used');
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
