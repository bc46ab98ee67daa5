import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { folderOfFile } from './temporary-folder.ts';

/** The tiny graphs of test/fixtures/onnx. */
const graphs = join(import.meta.dirname, '../fixtures/onnx');

/** Columns of a weight that a module owns; `factor`: what the operator multiplies the product with. */
export type WeightPlace = {
  readonly weight: string;
  readonly layout: 'kn' | 'nk';
  readonly first: number;
  readonly count: number;
  readonly factor?: number;
};

/** NAME.json: what the script that laid out the weights says of them. */
export type AboutGraph = {
  readonly modelType: string;
  /** Tokens that it has positions for. Default: 32. */
  readonly context?: number;
  /** Tokens above which it takes its long table of positions. */
  readonly switch?: number;
  readonly modules: Readonly<
    Record<string, { readonly in: number; readonly out: number; readonly places: readonly WeightPlace[] }>
  >;
};

export const fixtureNames = readdirSync(graphs)
  .filter((name) => name.endsWith('.onnx'))
  .map((name) => name.replace(/\.onnx$/, ''));

export const fixtureGraph = (name: string): Buffer => readFileSync(join(graphs, `${name}.onnx`));

export const aboutFixture = (name: string): AboutGraph =>
  JSON.parse(readFileSync(join(graphs, `${name}.json`), 'utf8')) as AboutGraph;

const tiny = join(import.meta.dirname, '../fixtures/models/tiny');

/** What make.py of test/fixtures/onnx says of its decoders. */
const sizes = {
  hidden_size: 24,
  intermediate_size: 28,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 16,
  vocab_size: 20,
};

/** A model folder around a decoder of test/fixtures/onnx, or a changed one, with the tiny model's tokenizer; of the tests of the file. `says`: tokens of its context. */
export const fixtureFolder = (name: string, graph = fixtureGraph(name), says?: number): string => {
  const folder = folderOfFile();
  writeFileSync(join(folder, 'model.onnx'), graph);
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
    copyFileSync(join(tiny, 'model', file), join(folder, file));
  }
  const base = JSON.parse(readFileSync(join(tiny, 'model/config.json'), 'utf8')) as object;
  const { modelType, context = 32 } = aboutFixture(name);
  const config = { ...base, ...sizes, model_type: modelType, max_position_embeddings: says ?? context };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  return folder;
};
