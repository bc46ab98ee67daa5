import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';
import type { AddedBlock, Site } from '../compiled/compile-target.ts';
import { readAdded } from './base-bias.ts';
import { checkBase, checkTargeted, foreignTensor, type PairInput, refuseTensors } from './pairs.ts';
import type { WeightEntry } from './scales.ts';
import { floatsOf } from './weights.ts';

/** A vector of IA3 that fits its site: of its inputs where it is feed-forward, of its outputs else. */
export type Vector = { readonly site: Site; readonly entry: WeightEntry; readonly ofInputs: boolean };

/** Vectors that the outputs of a linear are multiplied by. */
export type Scaled = { readonly site: Site; readonly entries: readonly WeightEntry[] };

const tensorName = /^base_model\.model\.(.+)\.ia3_l$/;
const floats: ReadonlySet<string> = new Set(['F32', 'F16', 'BF16']);

const byModule = (entries: readonly WeightEntry[]): ReadonlyMap<string, WeightEntry> => {
  const modules = new Map<string, WeightEntry>();
  for (const entry of entries) {
    const name = quoteUntrusted(entry.name);
    const [, module] = tensorName.exec(entry.name) ?? [];
    if (module === undefined) throw foreignTensor(entry.name, 'a vector of IA3');
    if (!floats.has(entry.dtype))
      throw refuseTensors('ADAPTER_DTYPE', `tensor ${name} has type ${entry.dtype}`);
    if (entry.shape.length !== 2)
      throw refuseTensors(
        'ADAPTER_SHAPE',
        `tensor ${name} has ${entry.shape.length} dimensions instead of 2`,
      );
    modules.set(module, entry);
  }
  return modules;
};

const misfitOf = ({ name, shape }: WeightEntry, site: Site, ofInputs: boolean): string | undefined => {
  const wanted = ofInputs ? [1, site.inFeatures] : [site.outFeatures, 1];
  if (shape.join() === wanted.join()) return undefined;
  return `${quoteUntrusted(name)} has the shape [${shape.join(', ')}] instead of [${wanted.join(', ')}]`;
};

/**
 * Matches the tensors of an IA3 adapter with the linears of the base model; pure. What it returns covers every tensor of the file and every
 * module that the configuration targets.
 * @throws AdaptletError of the adapter part of the catalogue
 */
export const vectorsOf = (input: Omit<PairInput, 'maxRank'>): readonly Vector[] => {
  const { config, sites } = input;
  const modules = byModule(input.entries);
  const isFeedforward = config.isFeedforward ?? (() => false);
  const bySite = new Map(sites.map((site) => [site.module, site]));
  const lacking: string[] = [];
  const misfits: string[] = [];
  const vectors: Vector[] = [];
  for (const [module, entry] of modules) {
    const site = bySite.get(module);
    const ofInputs = isFeedforward(module);
    const misfit = site === undefined ? undefined : misfitOf(entry, site, ofInputs);
    if (site === undefined) lacking.push(module);
    else if (misfit !== undefined) misfits.push(misfit);
    else vectors.push({ site, entry, ofInputs });
  }
  checkBase({ lacking, misfits }, modules.size, input);
  checkTargeted(new Set(modules.keys()), input);
  if (vectors.length === 0) throw refuseTensors('ADAPTER_TENSOR_MISSING', 'the file has no vector of IA3');
  return vectors;
};

/** The linears that the vectors of a file are for, as far as they say so: what stands for the base without one. */
export const sitesOfVectors = (entries: readonly WeightEntry[]): readonly Site[] =>
  entries.flatMap(({ name, shape }) => {
    const [, module] = tensorName.exec(name) ?? [];
    const [rows = 0, columns = 0] = shape;
    return module === undefined ? [] : [{ module, inFeatures: columns, outFeatures: rows }];
  });

const refuse = (what: string): AdaptletError => new AdaptletError('ADAPTER_IA3', what);

/**
 * The linears whose outputs vectors multiply, in the order of the sites. Of inputs: those are the outputs of another linear times something
 * else, and a factor of a product is one of all of it.
 * @throws ADAPTER_IA3
 */
export const scaledOf = (vectors: readonly Vector[], sites: readonly Site[]): readonly Scaled[] => {
  const entries = new Map<string, WeightEntry[]>();
  for (const { site, entry, ofInputs } of vectors) {
    const module = ofInputs ? site.inputFactor : site.module;
    if (module === undefined) {
      throw refuse(
        `${quoteUntrusted(entry.name)} scales the inputs of its linear, which here are not the outputs of another one times something else`,
      );
    }
    entries.set(module, [...(entries.get(module) ?? []), entry]);
  }
  return sites.flatMap((site) => {
    const own = entries.get(site.module);
    return own === undefined ? [] : [{ site, entries: own }];
  });
};

/**
 * What the outputs of a linear are multiplied by: a factor for each.
 * @throws ADAPTER_NOT_FINITE
 */
export const factorsOf = ({ site, entries }: Scaled, data: ArrayBuffer): Float32Array => {
  const factors = new Float32Array(site.outFeatures).fill(1);
  for (const entry of entries) {
    const values = floatsOf(entry, data, 1);
    for (const [at, value] of values.entries()) factors[at]! *= value;
  }
  const at = factors.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return factors;
  const what = `the vectors of ${quoteUntrusted(site.module)} give ${factors[at]} at element ${at}`;
  throw new AdaptletError('ADAPTER_NOT_FINITE', `adapter_model.safetensors: ${what}`);
};

/**
 * What is added behind the products of a linear, or undefined where nothing is.
 * @throws ADAPTER_IA3
 */
export const biasOf = ({ added, module }: Site): readonly AddedBlock[] | undefined => {
  if (added === undefined) {
    throw refuse(
      `whether the base model adds a bias to ${quoteUntrusted(module)}, and which, cannot be read from its graph; IA3 scales it too`,
    );
  }
  return added.some(({ values }) => values !== undefined) ? added : undefined;
};

/**
 * What makes factors · W x + shifts + bias what IA3 gives: factors · (W x + bias).
 * @throws MODEL_INVALID; those of the file system
 */
export const shiftsOf = async (bias: readonly AddedBlock[], factors: Float32Array): Promise<Float32Array> => {
  const added = await readAdded(bias);
  return factors.map((factor, at) => (factor - 1) * (added[at] ?? 0));
};
