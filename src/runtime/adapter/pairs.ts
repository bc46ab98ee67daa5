import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';
import type { Site } from '../compiled/compile-target.ts';
import type { PeftConfig } from './peft-config.ts';
import type { WeightEntry } from './scales.ts';

/** An A/B pair that fits its site. `scale` is what B has to be multiplied by. */
export type Pair = {
  readonly site: Site;
  readonly rank: number;
  readonly scale: number;
  readonly a: WeightEntry;
  readonly b: WeightEntry;
  /** Of DoRA: the length that each row of the sum of base weight and B·A is brought to, [outFeatures]. */
  readonly magnitude?: WeightEntry;
  /** Of `lora_bias`: what is added to B·A·x before it is scaled, [outFeatures]. */
  readonly bias?: WeightEntry;
};

/** The tensors of a pair, each with what its values are multiplied by when they are applied. */
export const tensorsOfPair = ({
  a,
  b,
  magnitude,
  bias,
  scale,
}: Pair): readonly { readonly entry: WeightEntry; readonly factor: number; readonly matrix: boolean }[] => [
  { entry: a, factor: 1, matrix: true },
  { entry: b, factor: scale, matrix: true },
  ...(magnitude === undefined ? [] : [{ entry: magnitude, factor: 1, matrix: false }]),
  ...(bias === undefined ? [] : [{ entry: bias, factor: scale, matrix: false }]),
];

export type PairInput = {
  readonly entries: readonly WeightEntry[];
  readonly config: PeftConfig;
  readonly sites: readonly Site[];
  readonly maxRank: number;
};

/** What a file has for one module. */
type Halves = { a?: WeightEntry; b?: WeightEntry; magnitude?: WeightEntry; bias?: WeightEntry };
type Member = keyof Halves;
type Fit = { readonly lacking: readonly string[]; readonly misfits: readonly string[] };

const tensorName =
  /^base_model\.model\.(.+)\.(lora_A\.weight|lora_B\.weight|lora_B\.bias|lora_magnitude_vector(?:\.weight)?)$/;
const members: Readonly<Record<string, Member>> = {
  'lora_A.weight': 'a',
  'lora_B.weight': 'b',
  'lora_B.bias': 'bias',
  lora_magnitude_vector: 'magnitude',
  'lora_magnitude_vector.weight': 'magnitude',
};
const dimensions: Readonly<Record<Member, number>> = { a: 2, b: 2, magnitude: 1, bias: 1 };
const floats: ReadonlySet<string> = new Set(['F32', 'F16', 'BF16']);

/** Of the tensors of an adapter. */
export const refuseTensors = (
  code: ErrorCode,
  what: string,
  options: { readonly advice?: string } = {},
): AdaptletError => new AdaptletError(code, `adapter_model.safetensors: ${what}`, options);

/** Names of the token embedding and of the output layer; PEFT stores their base weights beside an adapter of them. */
const embedding = /(?:^|\.)(?:embed_tokens|lm_head|wte|word_embeddings)(?:\.|$)/;

/** Why a tensor that is not of the method is refused. */
export const codeOfForeignTensor = (name: string): ErrorCode => {
  if (/\.lora_embedding_[AB]$/.test(name) || embedding.test(name)) return 'ADAPTER_EMBEDDING';
  if (name.endsWith('.bias')) return 'ADAPTER_BIAS';
  return 'ADAPTER_TENSOR_UNKNOWN';
};

/** Why what changes the output layer or the token embedding is not served. */
const whyNotServed = (name: string): string =>
  /(?:^|\.)lm_head(?:\.|$)/.test(name)
    ? 'the output layer, whose sum every request would pay for'
    : 'an embedding, whose rows are looked up and not multiplied';

/** A tensor that is not of the method, which is called `kind`. */
export const foreignTensor = (name: string, kind: string): AdaptletError => {
  const code = codeOfForeignTensor(name);
  const isWhole = /\.(?:embed_tokens|lm_head|wte|word_embeddings)\.weight$/.test(name);
  const why = isWhole
    ? 'is one of the largest of the base model as a whole, which all adapters share'
    : `is of ${whyNotServed(name)}`;
  return refuseTensors(
    code,
    `tensor ${quoteUntrusted(name)} ${code === 'ADAPTER_EMBEDDING' ? why : `is not ${kind}`}`,
  );
};

const byModule = (entries: readonly WeightEntry[]): ReadonlyMap<string, Halves> => {
  const modules = new Map<string, Halves>();
  for (const entry of entries) {
    const [, module, part = ''] = tensorName.exec(entry.name) ?? [];
    const member = members[part];
    if (module === undefined || member === undefined) throw foreignTensor(entry.name, 'half of a LoRA pair');
    if (entry.shape.length !== dimensions[member]) {
      throw refuseTensors(
        'ADAPTER_SHAPE',
        `tensor ${quoteUntrusted(entry.name)} has ${entry.shape.length} dimensions instead of ${dimensions[member]}`,
        { advice: 'Train LoRA on linear layers only.' },
      );
    }
    if (!floats.has(entry.dtype) && entry.scales === undefined) {
      throw refuseTensors('ADAPTER_DTYPE', `tensor ${quoteUntrusted(entry.name)} has type ${entry.dtype}`);
    }
    const halves = modules.get(module) ?? {};
    const before = halves[member];
    if (before !== undefined) {
      const names = `${quoteUntrusted(before.name)} and ${quoteUntrusted(entry.name)}`;
      throw refuseTensors('ADAPTER_TENSOR_UNKNOWN', `${names} are one tensor of PEFT`);
    }
    halves[member] = entry;
    modules.set(module, halves);
  }
  return modules;
};

const misfitOf = ({ a, b, magnitude, bias }: Halves, site: Site): string | undefined => {
  if (a !== undefined && a.shape[1] !== site.inFeatures) {
    return `${quoteUntrusted(a.name)} has ${a.shape[1]} columns, the module takes ${site.inFeatures} features`;
  }
  if (b !== undefined && b.shape[0] !== site.outFeatures) {
    return `${quoteUntrusted(b.name)} has ${b.shape[0]} rows, the module gives ${site.outFeatures} features`;
  }
  for (const vector of [magnitude, bias]) {
    if (vector !== undefined && vector.shape[0] !== site.outFeatures)
      return `${quoteUntrusted(vector.name)} has ${vector.shape[0]} values, the module gives ${site.outFeatures} features`;
  }
  return undefined;
};

const fitOf = (modules: ReadonlyMap<string, Halves>, sites: ReadonlyMap<string, Site>): Fit => {
  const lacking: string[] = [];
  const misfits: string[] = [];
  for (const [module, halves] of modules) {
    const site = sites.get(module);
    const misfit = site === undefined ? undefined : misfitOf(halves, site);
    if (site === undefined) lacking.push(module);
    else if (misfit !== undefined) misfits.push(misfit);
  }
  return { lacking, misfits };
};

const kindsOf = (sites: readonly Site[]): string =>
  [...new Set(sites.map((site) => site.module.slice(site.module.lastIndexOf('.') + 1)))].join(', ');

/**
 * One module that the base lacks, or one that does not fit, is a flaw of the adapter; several that the base lacks, or
 * nothing that fits, is an adapter of another base.
 * @throws ADAPTER_EMBEDDING, ADAPTER_SHAPE, ADAPTER_TENSOR_UNKNOWN, ADAPTER_WRONG_BASE
 */
export const checkBase = (
  { lacking, misfits }: Fit,
  modules: number,
  input: Pick<PairInput, 'config' | 'sites'>,
): void => {
  const trainedOn = input.config.baseModelName;
  const origin = trainedOn === undefined ? '' : ` (it says it was trained on ${quoteUntrusted(trainedOn)})`;
  const first = lacking[0];
  const layer = lacking.find((module) => embedding.test(module));
  if (layer !== undefined) {
    const what = `it changes ${quoteUntrusted(layer)}, ${whyNotServed(layer)}`;
    throw refuseTensors('ADAPTER_EMBEDDING', what);
  }
  if (lacking.length > 1 || (modules > 1 && lacking.length + misfits.length === modules)) {
    const example = first === undefined ? misfits[0] : `no module ${quoteUntrusted(first)} here`;
    throw refuseTensors(
      'ADAPTER_WRONG_BASE',
      `${lacking.length + misfits.length} of ${modules} modules do not fit the base model, e.g. ${example}${origin}`,
    );
  }
  if (first !== undefined) {
    throw refuseTensors(
      'ADAPTER_TENSOR_UNKNOWN',
      `the base model has no module ${quoteUntrusted(first)}; it has ${input.sites.length} of the kinds ${kindsOf(input.sites)}`,
    );
  }
  if (misfits[0] !== undefined) throw refuseTensors('ADAPTER_SHAPE', misfits[0]);
};

/** A kind that the configuration says is of every pair, and of none else. */
const checkKinds = (name: string, { magnitude, bias }: Halves, { dora, loraBias }: PeftConfig): void => {
  const kinds = [
    { code: 'ADAPTER_DORA', field: 'use_dora', tensor: 'lora_magnitude_vector', on: dora, has: magnitude },
    { code: 'ADAPTER_LORA_BIAS', field: 'lora_bias', tensor: 'lora_B.bias', on: loraBias, has: bias },
  ] as const;
  for (const { code, field, tensor, on, has } of kinds) {
    if (on === (has !== undefined)) continue;
    const there = on ? `has no ${tensor}` : `has a ${tensor}`;
    throw refuseTensors(code, `module ${name} ${there}, adapter_config.json says ${field} ${on}`);
  }
};

const pairOf = (module: string, halves: Halves, site: Site, input: PairInput): Pair => {
  const { a, b, magnitude, bias } = halves;
  const name = quoteUntrusted(module);
  if (a === undefined || b === undefined) {
    throw refuseTensors(
      'ADAPTER_PAIR_INCOMPLETE',
      `module ${name} has no lora_${a === undefined ? 'A' : 'B'}.weight`,
    );
  }
  const [rank = 0] = a.shape;
  if (b.shape[1] !== rank) {
    throw refuseTensors(
      'ADAPTER_RANK_UNEQUAL',
      `module ${name} has an A of rank ${rank} and a B of rank ${b.shape[1]}`,
    );
  }
  if (rank === 0 || rank > input.maxRank) {
    const why = input.config.whyRank?.(module) ?? '';
    throw refuseTensors(
      'ADAPTER_RANK_LIMIT',
      `module ${name} has rank ${rank}${why}, allowed are 1 to ${input.maxRank}`,
    );
  }
  const configured = input.config.rankOf(module);
  if (configured !== rank) {
    throw refuseTensors(
      'ADAPTER_RANK_NOT_CONFIG',
      `module ${name} has rank ${rank}, adapter_config.json says ${configured}`,
    );
  }
  checkKinds(name, halves, input.config);
  return {
    site,
    rank,
    scale: input.config.scalingOf(module),
    a,
    b,
    ...(magnitude === undefined ? {} : { magnitude }),
    ...(bias === undefined ? {} : { bias }),
  };
};

/** The linears that the tensors of an adapter are for, as far as they say so: what stands for the base without one. */
export const sitesOf = (entries: readonly WeightEntry[]): readonly Site[] => {
  const sites = new Map<string, Site>();
  for (const { name, shape } of entries) {
    const [, module, part = ''] = tensorName.exec(name) ?? [];
    if (module === undefined || embedding.test(module)) continue;
    const site = sites.get(module) ?? { module, inFeatures: 0, outFeatures: 0 };
    const [rows = 0, columns = 0] = shape;
    if (members[part] === 'a') sites.set(module, { ...site, inFeatures: columns });
    else if (members[part] === 'b') sites.set(module, { ...site, outFeatures: rows });
    else sites.set(module, site);
  }
  return [...sites.values()];
};

/**
 * The modules that have tensors must be those that the configuration targets.
 * @throws ADAPTER_TARGET_UNMATCHED, ADAPTER_TENSOR_MISSING, ADAPTER_TENSOR_UNTARGETED
 */
export const checkTargeted = (
  present: ReadonlySet<string>,
  { config: { targets }, sites }: Pick<PairInput, 'config' | 'sites'>,
): void => {
  for (const { module } of sites) {
    if (present.has(module) === targets.includes(module)) continue;
    const [code, what] = present.has(module)
      ? (['ADAPTER_TENSOR_UNTARGETED', 'has tensors, adapter_config.json does not target it'] as const)
      : (['ADAPTER_TENSOR_MISSING', 'is targeted and has no tensors'] as const);
    throw refuseTensors(code, `module ${quoteUntrusted(module)} ${what}`);
  }
  const [unmatched] = targets.unmatched(sites.map(({ module }) => module));
  if (unmatched === undefined) return;
  throw refuseTensors(
    'ADAPTER_TARGET_UNMATCHED',
    `target_modules entry ${quoteUntrusted(unmatched)} matches no module of the base`,
  );
};

/**
 * Matches the tensors of an adapter with the linears of the base model; pure. What it returns covers every tensor of
 * the file and every module that the configuration targets, in the order of the sites.
 * @throws AdaptletError of the adapter part of the catalogue
 */
export const pairsOf = (input: PairInput): readonly Pair[] => {
  const modules = byModule(input.entries);
  const sites = new Map(input.sites.map((site) => [site.module, site]));
  checkBase(fitOf(modules, sites), modules.size, input);
  const pairs = input.sites.flatMap((site) => {
    const halves = modules.get(site.module);
    return halves === undefined ? [] : [pairOf(site.module, halves, site, input)];
  });
  checkTargeted(new Set(modules.keys()), input);
  if (pairs.length === 0) throw refuseTensors('ADAPTER_TENSOR_MISSING', 'the file has no LoRA pair');
  return pairs;
};
