import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { z } from 'zod';
import type { Digest } from '../../api/names.ts';
import { modelPack } from '../../artifact/model-pack.ts';
import { type Packed, type PackedFile, packFiles } from '../../artifact/pack.ts';
import type { GraphFacts } from './graph-facts.ts';
import { type ModelFile, modelFilesOf } from './model-files.ts';

export type PackModelOptions = {
  /** Facts of the graph in a file. */
  readonly readGraph: (path: string) => Promise<GraphFacts>;
  readonly hash: (file: ModelFile) => Promise<Digest>;
};

const configSchema = z.looseObject({ model_type: z.string().optional() });

const modelTypeOf = async (files: readonly ModelFile[]): Promise<string | undefined> => {
  const config = files.find(({ name }) => name === 'config.json');
  if (config === undefined) return undefined;
  try {
    return configSchema.parse(JSON.parse(await readFile(config.path, 'utf8'))).model_type;
  } catch {
    // What cannot be read is for the engine to refuse.
    return undefined;
  }
};

/**
 * Packs the base model with a graph into an OCI image manifest in the form of a ModelPack: fixed order and media types, no
 * times, no owners. The same files have the same digest wherever they lie.
 * @throws AdaptletError MODEL_FILE_MISSING, MODEL_INVALID
 */
export const packModel = async (graph: string, options: PackModelOptions): Promise<Packed> => {
  const facts = await options.readGraph(resolve(graph));
  const files = await modelFilesOf(graph, facts.weightFiles);
  const packed: PackedFile[] = [];
  for (const file of files) packed.push({ ...file, digest: await options.hash(file) });
  const { parameters, precision } = facts;
  const model = { family: await modelTypeOf(files), format: 'onnx', parameters, precision };
  return packFiles(packed, {
    ...modelPack(model, packed),
    annotations: { 'adaptlet.io/kind': 'base', 'adaptlet.io/format': 'onnx' },
  });
};
