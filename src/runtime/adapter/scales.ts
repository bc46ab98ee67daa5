import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';
import type { TensorEntry } from './safetensors.ts';

/** A tensor, and of an int8 one the tensor with the scales of its rows. */
export type WeightEntry = TensorEntry & { readonly scales?: TensorEntry };

/** What the name of a tensor with scales adds to that of its weight, as compressed-tensors has it. */
export const scaleSuffix = '_scale';
const scaleName = /\.weight_scale$/;

const refuse = (what: string): AdaptletError =>
  new AdaptletError('ADAPTER_SCALE_INVALID', `adapter_model.safetensors: ${what}`);

const checkScales = (weight: TensorEntry, scales: TensorEntry): void => {
  const name = quoteUntrusted(scales.name);
  if (scales.dtype !== 'F32') throw refuse(`${name} has type ${scales.dtype} instead of F32`);
  const [rows = 0] = weight.shape;
  if (scales.shape.length !== 1 || scales.shape[0] !== rows) {
    throw refuse(
      `${name} has the shape [${scales.shape.join(', ')}]; ${quoteUntrusted(weight.name)} needs one scale for each of its ${rows} rows`,
    );
  }
};

/**
 * Puts the scales of int8 tensors beside them. Pure.
 * @throws ADAPTER_SCALE_INVALID
 */
export const joinScales = (entries: readonly TensorEntry[]): readonly WeightEntry[] => {
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  for (const { name } of entries) {
    if (!scaleName.test(name)) continue;
    const weight = byName.get(name.slice(0, -scaleSuffix.length));
    if (weight === undefined)
      throw refuse(`${quoteUntrusted(name)} has scales for a tensor that is not there`);
    if (weight.dtype !== 'I8') {
      throw refuse(
        `${quoteUntrusted(name)} has scales for ${quoteUntrusted(weight.name)}, which has type ${weight.dtype}, not I8`,
      );
    }
  }
  return entries
    .filter(({ name }) => !scaleName.test(name))
    .map((entry) => {
      if (entry.dtype !== 'I8') return entry;
      const scales = byName.get(`${entry.name}${scaleSuffix}`);
      if (scales === undefined) {
        throw refuse(
          `${quoteUntrusted(entry.name)} is int8 and has no scales in ${quoteUntrusted(`${entry.name}${scaleSuffix}`)}`,
        );
      }
      checkScales(entry, scales);
      return { ...entry, scales };
    });
};
