import type { Digest } from '../../../api/names.ts';
import { type Parents, parentsFile } from '../../../artifact/parents.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';
import { readStructure } from '../check-folder.ts';
import { type FileTensor, safetensorsFile } from '../conversion/safetensors-file.ts';
import { refuseExisting, writeFolder } from '../new-folder.ts';
import type { Pair } from '../pairs.ts';
import type { PeftConfig } from '../peft-config.ts';
import type { Initial } from '../peft-fields.ts';
import { configFile, openPeftFolder, weightsFile } from '../peft-folder.ts';
import { floatsOf } from '../weights.ts';
import { combine, type Merged, type Method, type Share } from './combine.ts';

export type Parent = {
  /** PEFT folder. */
  readonly folder: string;
  readonly digest: Digest;
  readonly weight: number;
};

export type CompositionInput = {
  readonly parents: readonly Parent[];
  readonly method: Method;
  /**
   * The pair that the only parent began with, which its initialisation took away from the weights of the base (PiSSA, OLoRA, CorDA, LoRA-GA):
   * it is subtracted, as by PEFT's `path_initial_model_for_weight_conversion`.
   */
  readonly initial?: Omit<Parent, 'weight'> | undefined;
  /** The largest that `svd` gives. Absent: that of the parents. */
  readonly rank?: number | undefined;
  /** Must not exist; its parent must. */
  readonly outFolder: string;
  /** The largest rank that a node takes. */
  readonly maxRank: number;
};

/** What was made. `bytes`: of adapter_model.safetensors. */
export type Composition = {
  readonly method: Method;
  readonly modules: number;
  /** The largest of any module. */
  readonly rank: number;
  readonly bytes: number;
};

const refuse = (what: string): AdaptletError => new AdaptletError('ADAPTERS_NOT_COMPOSABLE', what);

type ReadParent = Parent & { readonly config: PeftConfig; readonly shares: ReadonlyMap<string, Piece> };
type Piece = Share & { readonly pair: Pair };

const refuseKinds = (folder: string, config: PeftConfig): void => {
  const { dora, loraBias, classifies, isFeedforward } = config;
  const kinds = {
    'uses DoRA, whose magnitudes hold for its own weights only': dora,
    'has biases of B, which have no place in the sum': loraBias,
    'has a head, which is not low-rank': classifies,
    'is of IA3, whose factors have no sum': isFeedforward !== undefined,
  };
  for (const [what, is] of Object.entries(kinds)) if (is) throw refuse(`${folder} ${what}`);
};

/** Reads a parent as a node would, with its own tensors in place of a base model. */
const readParent = async (
  parent: Parent,
  maxRank: number,
  initial: Initial = 'must be plain',
): Promise<ReadParent> => {
  await using peft = await openPeftFolder(parent.folder, 'any', initial);
  const { config } = peft;
  refuseKinds(parent.folder, config);
  const { pairs, vectors } = await readStructure(parent.folder, peft, maxRank);
  if (vectors.length > 0) throw refuse(`${parent.folder} has biases in place of those of the base`);
  const data = await peft.readData();
  const shares = pairs.map((pair): [string, Piece] => {
    const { site, rank, scale, a, b } = pair;
    floatsOf(b, data, scale);
    return [
      site.module,
      { pair, weight: parent.weight, scale, rank, a: floatsOf(a, data, 1), b: floatsOf(b, data, 1) },
    ];
  });
  return { ...parent, config, shares: new Map(shares) };
};

const said = (value: string | undefined): string => quoteUntrusted(value ?? 'none');

/** What all parents must have alike. */
const checkAlike = (parents: readonly ReadParent[]): void => {
  const [first, ...others] = parents;
  if (first === undefined) throw refuse('there is nothing to merge');
  for (const other of others) {
    const facts = [
      ['base model', first.config.baseModelName, other.config.baseModelName],
      ['task', first.config.taskType, other.config.taskType],
    ] as const;
    for (const [what, here, there] of facts) {
      if (here !== there) {
        throw refuse(
          `${first.folder} and ${other.folder} are of different ${what}s: ${said(here)} and ${said(there)}`,
        );
      }
    }
  }
};

/** Without one of them a part of the base would be missing, or be there twice. */
const checkInitial = (trained: ReadParent, initial: ReadParent): void => {
  for (const [from, to] of [
    [trained, initial],
    [initial, trained],
  ] as const) {
    for (const [module, { rank }] of from.shares) {
      const other = to.shares.get(module);
      if (other?.rank === rank) continue;
      const there = other === undefined ? 'does not have it' : `has it of rank ${other.rank}`;
      throw refuse(`${from.folder} has ${quoteUntrusted(module)} of rank ${rank}, ${to.folder} ${there}`);
    }
  }
};

/** Every parent, and what is subtracted behind them. */
const readParents = async ({
  parents,
  initial,
  method,
  maxRank,
}: CompositionInput): Promise<ReadParent[]> => {
  if (initial === undefined) {
    const read: ReadParent[] = [];
    for (const parent of parents) read.push(await readParent(parent, maxRank));
    return read;
  }
  const [only, ...more] = parents;
  if (only === undefined || more.length > 0 || only.weight !== 1 || method !== 'cat')
    throw refuse('an initial adapter is subtracted from one adapter, which counts once, by cat');
  const trained = await readParent(only, maxRank, 'is subtracted');
  const began = await readParent({ ...initial, weight: -1 }, maxRank);
  checkInitial(trained, began);
  return [trained, began];
};

const checkShape = (folder: string, { pair: { site } }: Piece, { pair }: Piece): void => {
  const { module, inFeatures, outFeatures } = site;
  if (pair.site.inFeatures === inFeatures && pair.site.outFeatures === outFeatures) return;
  throw refuse(
    `${folder} is of another base model: ${quoteUntrusted(module)} takes ${inFeatures} features and gives ${outFeatures} there, others say ${pair.site.inFeatures} and ${pair.site.outFeatures}`,
  );
};

/** Code units, not a locale: the order is part of the bytes. */
const sorted = (names: Iterable<string>): readonly string[] => [...names].sort();

const mergeAll = (
  parents: readonly ReadParent[],
  { method, rank, maxRank }: CompositionInput,
): ReadonlyMap<string, Merged> => {
  const largest = Math.max(
    ...parents.flatMap(({ shares }) => [...shares.values()].map((share) => share.rank)),
  );
  const modules = sorted(new Set(parents.flatMap(({ shares }) => [...shares.keys()])));
  return new Map(
    modules.map((module) => {
      const pieces: Piece[] = [];
      for (const { folder, shares } of parents) {
        const piece = shares.get(module);
        if (piece === undefined) continue;
        checkShape(folder, piece, pieces[0] ?? piece);
        pieces.push(piece);
      }
      const merged = combine(method, pieces, { module, rank: rank ?? largest });
      if (merged.rank > maxRank) {
        throw refuse(
          `${quoteUntrusted(module)} would have rank ${merged.rank}, a node takes ${maxRank}; svd gives a smaller one`,
        );
      }
      return [module, merged];
    }),
  );
};

/** @throws ADAPTER_NOT_FINITE */
const bytesOf = (name: string, values: Float32Array): Uint8Array => {
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const what = `tensor ${quoteUntrusted(name)} has ${values[at]} at element ${at} once merged`;
  throw new AdaptletError('ADAPTER_NOT_FINITE', what);
};

const tensorsOf = (merged: ReadonlyMap<string, Merged>): readonly FileTensor[] =>
  [...merged].flatMap(([module, { rank, a, b }]) => {
    const name = (half: 'A' | 'B'): string => `base_model.model.${module}.lora_${half}.weight`;
    return [
      { name: name('A'), dtype: 'F32', shape: [rank, a.length / rank], data: bytesOf(name('A'), a) },
      { name: name('B'), dtype: 'F32', shape: [b.length / rank, rank], data: bytesOf(name('B'), b) },
    ];
  });

/** All that PEFT needs: every factor is in the tensors, so that alpha is the rank of each module. */
const configOf = ({ config }: ReadParent, merged: ReadonlyMap<string, Merged>): string => {
  const rank = Math.max(...[...merged.values()].map((pair) => pair.rank));
  const smaller = [...merged]
    .filter(([, pair]) => pair.rank < rank)
    .map(([module, pair]) => [module, pair.rank]);
  const pattern = Object.fromEntries(smaller) as Readonly<Record<string, number>>;
  const fields = {
    alpha_pattern: pattern,
    base_model_name_or_path: config.baseModelName ?? null,
    bias: 'none',
    inference_mode: true,
    lora_alpha: rank,
    lora_dropout: 0,
    peft_type: 'LORA',
    r: rank,
    rank_pattern: pattern,
    target_modules: [...merged.keys()],
    task_type: config.taskType ?? null,
    use_rslora: false,
  };
  return `${JSON.stringify(fields, undefined, 2)}\n`;
};

/**
 * Merges adapters into a new PEFT folder, which names them, as PEFT's `add_weighted_adapter` does.
 * @throws ADAPTERS_NOT_COMPOSABLE, CONVERT_TARGET_EXISTS, and whatever a node refuses that can be told without the base
 * model; file system errors as they are
 */
export const composeAdapters = async (input: CompositionInput): Promise<Composition> => {
  const { method, outFolder } = input;
  await refuseExisting(outFolder);
  const parents = await readParents(input);
  checkAlike(parents);
  const [first] = parents;
  if (first === undefined) throw refuse('there is nothing to merge');
  const merged = mergeAll(parents, input);
  const file = safetensorsFile(tensorsOf(merged), { format: 'pt' });
  const named: Parents = { method, parents: parents.map(({ digest, weight }) => ({ digest, weight })) };
  await writeFolder(
    outFolder,
    new Map<string, Uint8Array | string>([
      [configFile, configOf(first, merged)],
      [parentsFile, `${JSON.stringify(named, undefined, 2)}\n`],
      [weightsFile, file],
    ]),
  );
  const rank = Math.max(...[...merged.values()].map((pair) => pair.rank));
  return { method, modules: merged.size, rank, bytes: file.length };
};
