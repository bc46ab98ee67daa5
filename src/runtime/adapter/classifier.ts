import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';
import type { EncoderTarget } from '../compiled/compile-target.ts';
import type { PeftConfig } from './peft-config.ts';
import type { WeightEntry } from './scales.ts';

/** The tensors of a classification head. */
export type HeadTensors = {
  readonly weight: WeightEntry;
  readonly bias: WeightEntry;
  readonly labels: number;
  readonly features: number;
};

/** What PEFT calls the head in BertForSequenceClassification. */
const headModule = 'classifier';
const headTensor = /^base_model\.model\.(classifier|score)\.(.+)$/;
const floats: ReadonlySet<string> = new Set(['F32', 'F16', 'BF16']);
/** More labels are no classification: the head would weigh more than the adapter. */
const maxLabels = 10_000;

const refuse = (what: string, options: { readonly advice?: string } = {}): AdaptletError =>
  new AdaptletError('ADAPTER_HEAD_INVALID', `adapter_model.safetensors: ${what}`, options);

const checkTensor = (
  entry: WeightEntry | undefined,
  name: string,
  shape: readonly (number | undefined)[],
): WeightEntry => {
  if (entry === undefined) throw refuse(`the head has no ${name}`);
  if (!floats.has(entry.dtype)) throw refuse(`${quoteUntrusted(entry.name)} has the type ${entry.dtype}`);
  const fits =
    entry.shape.length === shape.length &&
    shape.every((size, at) => size === undefined || entry.shape[at] === size);
  if (fits) return entry;
  const wanted = shape.map((size) => size ?? 'labels').join(', ');
  throw refuse(`${quoteUntrusted(entry.name)} has the shape [${entry.shape.join(', ')}], not [${wanted}]`);
};

/**
 * The head among the tensors of an adapter.
 * @throws ADAPTER_HEAD_INVALID
 */
const headOf = (entries: readonly WeightEntry[], features: number): HeadTensors => {
  const parts = new Map(
    entries.map((entry) => [headTensor.exec(entry.name)?.slice(1).join('.') ?? '', entry]),
  );
  const [stray] = [...parts.keys()].filter(
    (name) => name !== `${headModule}.weight` && name !== `${headModule}.bias`,
  );
  if (stray !== undefined) {
    throw refuse(
      `the head has a part ${quoteUntrusted(stray)}; this base model takes one linear, ${headModule}`,
    );
  }
  const weight = checkTensor(parts.get(`${headModule}.weight`), `${headModule}.weight`, [
    undefined,
    features,
  ]);
  const [labels = 0] = weight.shape;
  if (labels < 1 || labels > maxLabels)
    throw refuse(`the head has ${labels} labels, allowed are 1 to ${maxLabels}`);
  const bias = checkTensor(parts.get(`${headModule}.bias`), `${headModule}.bias`, [labels]);
  return { weight, bias, labels, features };
};

/**
 * Takes the head out of the tensors of an adapter; what is left is LoRA. An adapter for sequence classification has one,
 * any other has none.
 * @throws ADAPTER_HEAD_INVALID, ADAPTER_TENSOR_UNKNOWN
 */
export const splitHead = (
  entries: readonly WeightEntry[],
  config: Pick<PeftConfig, 'classifies'>,
  encoder: Pick<EncoderTarget, 'headFeatures'> | undefined,
): { readonly lora: readonly WeightEntry[]; readonly head: HeadTensors | undefined } => {
  if (!config.classifies) return { lora: entries, head: undefined };
  if (encoder?.headFeatures === undefined) {
    throw refuse('it classifies, and the base model gives no pooler_output that a head could take', {
      advice: 'Export the base model with `pooler_output`, or use an adapter that embeds.',
    });
  }
  const ofHead = entries.filter(({ name }) => headTensor.test(name));
  const lora = entries.filter(({ name }) => !headTensor.test(name));
  return { lora, head: headOf(ofHead, encoder.headFeatures) };
};
