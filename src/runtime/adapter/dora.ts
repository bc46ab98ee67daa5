import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';
import type { Pair } from './pairs.ts';
import { rowLengths } from './row-lengths.ts';
import type { WeightEntry } from './scales.ts';
import { floatsOf } from './weights.ts';

/**
 * What DoRA multiplies each output feature of W x + B A x by: its magnitude over the length of its row of W + B A
 * (arXiv:2402.09353), as PEFT has it. The length is that of the weights as this node computes with them, quantised ones included.
 * @throws ADAPTER_DORA, ADAPTER_NOT_FINITE, ADAPTER_SCALE_INVALID, MODEL_INVALID; those of the file system
 */
export const doraFactors = async (
  { site, rank, a, b, scale }: Pair,
  magnitude: WeightEntry,
  data: ArrayBuffer,
): Promise<Float32Array> => {
  const change = { rank, a: floatsOf(a, data, 1), b: floatsOf(b, data, scale) };
  const magnitudes = floatsOf(magnitude, data, 1);
  const lengths = await rowLengths(site, change);
  const module = quoteUntrusted(site.module);
  if (lengths === undefined) {
    throw new AdaptletError(
      'ADAPTER_DORA',
      `the weights of ${module} in the base model cannot be read here: they are in a form that DoRA is not built for, or the node could not share the weights of its graphs, which its log says then`,
      { advice: 'Train it with `use_dora=False`, or give the node the room that its log asks for.' },
    );
  }
  const factors = magnitudes.map((value, feature) => value / (lengths[feature] ?? 0));
  const at = factors.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return factors;
  throw new AdaptletError(
    'ADAPTER_NOT_FINITE',
    `${quoteUntrusted(magnitude.name)} at element ${at} is ${magnitudes[at]}, and the row of the weight that it is for has the length ${lengths[at]}`,
  );
};
