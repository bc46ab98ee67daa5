import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { z } from 'zod';
import type { Digest } from '../../api/names.ts';
import { mediaTypes } from '../../artifact/manifest.ts';
import { type Packed, type PackedFile, packFiles } from '../../artifact/pack.ts';
import type { GraphFacts } from './graph-facts.ts';
import { type ModelFile, modelFilesOf } from './model-files.ts';

export type PackModelOptions = {
  /** Facts of the graph in a file. */
  readonly readGraph: (path: string) => Promise<GraphFacts>;
  readonly hash: (file: ModelFile) => Promise<Digest>;
};

const configSchema = z.looseObject({ model_type: z.string().optional() });

/** Three digits, as model hubs write it. */
const paramSizeOf = (parameters: number): string => {
  const [value, unit] =
    parameters >= 1e9
      ? [parameters / 1e9, 'B']
      : parameters >= 1e6
        ? [parameters / 1e6, 'M']
        : [parameters / 1e3, 'K'];
  return `${Number(value.toPrecision(3))}${unit}`;
};

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

/** The configuration of a ModelPack: https://github.com/modelpack/model-spec. No times and no names, only what the files say. */
const configOf = (
  facts: GraphFacts,
  modelType: string | undefined,
  files: readonly PackedFile[],
): Uint8Array =>
  Buffer.from(
    JSON.stringify({
      descriptor: modelType === undefined ? {} : { family: modelType },
      config: {
        architecture: 'transformer',
        format: 'onnx',
        paramSize: paramSizeOf(facts.parameters),
        precision: facts.precision,
      },
      modelfs: { type: 'layers', diffIds: files.map(({ digest }) => digest) },
    }),
  );

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
  return packFiles(packed, {
    artifactType: mediaTypes.model,
    configType: mediaTypes.modelConfig,
    config: configOf(facts, await modelTypeOf(files), packed),
    annotations: { 'adaptlet.io/kind': 'base', 'adaptlet.io/format': 'onnx' },
  });
};
