import { splitBiases } from './base-bias.ts';
import { splitHead } from './classifier.ts';
import { sitesOfVectors, vectorsOf } from './ia3.ts';
import { readLabels } from './labels.ts';
import { type Pair, pairsOf, sitesOf, tensorsOfPair } from './pairs.ts';
import { openPeftFolder, type PeftFolder } from './peft-folder.ts';
import type { WeightEntry } from './scales.ts';
import { floatsOf } from './weights.ts';

/** The features of a head as its own weight says them; the base model is not here to ask. */
const featuresOf = (entries: readonly WeightEntry[]): number =>
  entries.find(({ name }) => name === 'base_model.model.classifier.weight')?.shape[1] ?? 0;

/** The tensors of an adapter as a node pairs them, with its own shapes in place of those of a base model. */
export type Structure = {
  readonly pairs: readonly Pair[];
  /** Of IA3, or biases that take the place of those of the base. */
  readonly vectors: readonly WeightEntry[];
  readonly head: readonly WeightEntry[];
};

/** @throws AdaptletError of the adapter part of the catalogue */
export const readStructure = async (
  folder: string,
  { config, entries }: PeftFolder,
  maxRank: number,
): Promise<Structure> => {
  const { lora, head } = splitHead(entries, config, { headFeatures: featuresOf(entries) });
  const isIa3 = config.isFeedforward !== undefined;
  const { others, biases } = isIa3
    ? { others: lora, biases: new Map<string, WeightEntry>() }
    : splitBiases(lora);
  const pairs = isIa3 ? [] : pairsOf({ entries: others, config, sites: sitesOf(others), maxRank });
  const ia3 = isIa3 ? vectorsOf({ entries: lora, config, sites: sitesOfVectors(lora) }) : [];
  if (head !== undefined) await readLabels(folder, head.labels);
  const vectors = [...ia3.map(({ entry }) => entry), ...biases.values()];
  return { pairs, vectors, head: head === undefined ? [] : [head.weight, head.bias] };
};

/**
 * Checks everything about a PEFT folder that a node checks and that needs no base model: configuration, tensors, and that all
 * weights are finite.
 * @throws AdaptletError of the adapter part of the catalogue; other file system errors as they are
 */
export const checkPeftFolder = async (folder: string, maxRank: number): Promise<void> => {
  await using peft = await openPeftFolder(folder, 'any');
  const { pairs, vectors, head } = await readStructure(folder, peft, maxRank);
  const data = await peft.readData();
  for (const { entry, factor } of pairs.flatMap(tensorsOfPair)) floatsOf(entry, data, factor);
  for (const entry of [...vectors, ...head]) floatsOf(entry, data, 1);
};
