import { type FileHandle, open } from 'node:fs/promises';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';
import type { AddedBlock, Site } from '../compiled/compile-target.ts';
import { codeOfForeignTensor } from './pairs.ts';
import { readPart } from './row-lengths.ts';
import type { WeightEntry } from './scales.ts';

/** Of a linear that carries LoRA, and of any other: PEFT calls the first `base_layer`. */
const biasName = /^base_model\.model\.(.+?)(?:\.base_layer)?\.bias$/;
const normName = /(?:^|\.)(?:\w*norm\w*|ln_\w+)$/i;
const floats: ReadonlySet<string> = new Set(['F32', 'F16', 'BF16']);

/** Biases that take the place of those of the base model, by the module that each is of. */
export type Biases = ReadonlyMap<string, WeightEntry>;

const refuse = (what: string): AdaptletError =>
  new AdaptletError('ADAPTER_BIAS', `adapter_model.safetensors: ${what}`);

/**
 * Takes the biases of the base model out of the tensors of an adapter, which `bias` trained.
 * @throws ADAPTER_BIAS, ADAPTER_DTYPE
 */
export const splitBiases = (
  entries: readonly WeightEntry[],
): { readonly others: readonly WeightEntry[]; readonly biases: Biases } => {
  const others: WeightEntry[] = [];
  const biases = new Map<string, WeightEntry>();
  for (const entry of entries) {
    const { name, dtype, shape } = entry;
    const [, module] = biasName.exec(name) ?? [];
    if (
      module === undefined ||
      name.endsWith('.lora_B.bias') ||
      codeOfForeignTensor(name) !== 'ADAPTER_BIAS'
    ) {
      others.push(entry);
      continue;
    }
    const said = quoteUntrusted(name);
    if (normName.test(module))
      throw refuse(`${said} is the bias of a norm, which all adapters of a step share`);
    if (shape.length !== 1) throw refuse(`tensor ${said} has ${shape.length} dimensions instead of 1`);
    if (!floats.has(dtype)) {
      const what = `adapter_model.safetensors: tensor ${said} has type ${dtype}`;
      throw new AdaptletError('ADAPTER_DTYPE', what);
    }
    if (biases.has(module)) throw refuse(`module ${quoteUntrusted(module)} has two biases`);
    biases.set(module, entry);
  }
  return { others, biases };
};

/**
 * Each bias must be of a linear that adapters reach, whose own one is added behind its product, and can be read.
 * @throws ADAPTER_BIAS
 */
export const checkBiases = (biases: Biases, sites: readonly Site[]): void => {
  const bySite = new Map(sites.map((site) => [site.module, site]));
  for (const [module, { name, shape }] of biases) {
    const site = bySite.get(module);
    const said = quoteUntrusted(name);
    if (site === undefined) throw refuse(`${said} is the bias of something else than a linear of the layers`);
    if (shape[0] !== site.outFeatures)
      throw refuse(`${said} has ${shape[0]} values, the module gives ${site.outFeatures} features`);
    const { added, weights } = site;
    if (added === undefined || weights === undefined || added.some(({ values }) => values === undefined))
      throw refuse(
        `${said} takes the place of a bias that the base model does not have, or not where it can be read`,
      );
  }
};

/**
 * What is added behind the product of a linear, and nothing where nothing is.
 * @throws MODEL_INVALID; those of the file system
 */
export const readAdded = async (added: readonly AddedBlock[]): Promise<Float32Array> => {
  const bias = new Float32Array(added.reduce((sum, { width }) => sum + width, 0));
  let first = 0;
  for (const { width, values } of added) {
    if (values !== undefined) {
      await using file: FileHandle = await open(values.path, 'r');
      bias.set(new Float32Array(await readPart(file, values, 0, values.length)), first);
    }
    first += width;
  }
  return bias;
};
