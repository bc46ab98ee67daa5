import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { changedGraph, withInteger } from '../../support/changed-graph.ts';
import { folderOfFile } from '../../support/temporary-folder.ts';
import { tinyFolder } from './tiny.ts';

/** What the real exporters make of two-layer models: see make.py there. */
const exportsFolder = join(import.meta.dirname, '../../fixtures/exports');

/** How models were exported, as make.py calls it, for people. */
export const hows = {
  default: 'builder, no options',
  apart: 'builder, `fuse_qkv=false windowed_kv_cache=false`',
  'gate-up': 'builder, `fuse_mlp_gate_up=true`',
  int4: 'builder, int4 (`accuracy_level=1`)',
  'int4-shared':
    'builder, int4 (`accuracy_level=1 shared_embeddings=true is_symmetric=false fuse_qkv=false`)',
  half: 'builder, float16 for a GPU',
  'half-int4': 'builder, int4 for a GPU, all else in float16 (`accuracy_level=1`)',
  optimum: 'optimum',
  'optimum-eager': 'optimum, of a model with eager attention',
  'optimum-half': "optimum, turned to float16 as by transformers.js' scripts",
} as const;

/** `right`: within the tolerance, several at a time; `alone`: the same, one at a time; a number: up to so many tokens, and refused above; else the error that it is refused with. */
type Expectation = 'right' | 'alone' | number | 'MODEL_UNSUPPORTED';

type Model = {
  /** `model_type`. */
  readonly family: string;
  /** What there is to get wrong. */
  readonly has: string;
  readonly exports: Partial<Record<keyof typeof hows, Expectation>>;
};

const both = { default: 'right', optimum: 'right' } as const;
const bothAndInt4 = { ...both, int4: 'right' } as const;
const each = { ...both, apart: 'right' } as const;

/**
 * What Adaptlet does with each export in test/fixtures/exports. The test and docs/reference/model-support.md are made from this.
 */
export const models: Readonly<Record<string, Model>> = {
  llama: {
    family: 'llama',
    has: 'frequencies of positions scaled as in Llama 3',
    exports: { ...each, 'gate-up': 'right', int4: 'right', half: 'right', 'half-int4': 'right' },
  },
  mistral: { family: 'mistral', has: 'no window, as from 0.2 on', exports: bothAndInt4 },
  'mistral-window': {
    family: 'mistral',
    has: 'a window in every layer',
    exports: bothAndInt4,
  },
  qwen2: {
    family: 'qwen2',
    has: 'biases of q, k and v (Qwen2.5)',
    exports: { ...each, 'int4-shared': 'right', half: 'right' },
  },
  qwen3: { family: 'qwen3', has: 'norms of q and k', exports: { ...each, int4: 'right', half: 'right' } },
  gemma: {
    family: 'gemma',
    has: 'scaled embeddings, norms of 1 + weight',
    exports: { default: 'right', int4: 'right', optimum: 'alone' },
  },
  gemma2: {
    family: 'gemma2',
    has: 'a window in every second layer, soft-capped attention (which optimum leaves out) and logits',
    exports: { ...each, int4: 'right', optimum: 'MODEL_UNSUPPORTED', 'optimum-eager': 'alone' },
  },
  gemma3: {
    family: 'gemma3_text',
    has: 'windows, positions by kind of layer, norms of q and k',
    exports: { ...each, optimum: 'alone', int4: 'right', half: 'right' },
  },
  smollm3: {
    family: 'smollm3',
    has: 'layers without positions',
    exports: { optimum: 'right' },
  },
  granite: {
    family: 'granite',
    has: 'factors of embeddings, attention, layers and logits',
    exports: bothAndInt4,
  },
  phi: {
    family: 'phi',
    has: 'layers in parallel, positions for half of a head',
    exports: { ...each, int4: 'right' },
  },
  phi3: {
    family: 'phi3',
    has: 'modules fused in PEFT; a window in every layer',
    exports: bothAndInt4,
  },
  'phi4-mini': {
    family: 'phi3',
    has: 'LongRoPE, of which optimum keeps the short positions only',
    exports: { default: 'right', apart: 'right', int4: 'right', half: 'right', optimum: 24 },
  },
  bert: { family: 'bert', has: 'an encoder', exports: { optimum: 'right', 'optimum-half': 'right' } },
};

/** An export of a model, such as `gemma3` by `default`. */
export type Export = { readonly name: string; readonly how: string };

const foldersIn = (folder: string): readonly string[] =>
  readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);

/** Every export that is here. */
export const exportsHere = (): readonly Export[] =>
  foldersIn(exportsFolder).flatMap((name) =>
    foldersIn(join(exportsFolder, name))
      .filter((how) => existsSync(join(exportsFolder, name, how, 'model.onnx')))
      .map((how) => ({ name, how })),
  );

/** Every export with what is expected of it. */
export const expectedExports = Object.entries(models).flatMap(([name, { exports }]) =>
  Object.entries(exports).map(([how, expected]) => ({ name, how, expected })),
);

/** A copy of an export's folder with what lies beside it on the hub; the tokenizer is the tiny model's. */
export const folderOf = ({ name, how }: Export): string => {
  const folder = folderOfFile();
  const from = join(exportsFolder, name, how);
  for (const file of readdirSync(from)) copyFileSync(join(from, file), join(folder, file));
  copyFileSync(join(exportsFolder, name, 'config.json'), join(folder, 'config.json'));
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(join(tinyFolder, 'model', file), join(folder, file));
  return folder;
};

/** The same with linears that round activations to 8 bits, which is the builder's default for int4 and this attribute alone. */
export const roundedFolderOf = (exported: Export): string => {
  const folder = folderOf(exported);
  const file = join(folder, 'model.onnx');
  const rounded = changedGraph(readFileSync(file), (node) =>
    node.opType === 'MatMulNBits' ? [withInteger(node, 'accuracy_level', 4)] : undefined,
  );
  writeFileSync(file, rounded);
  return folder;
};

export const adapterOf = ({ name }: Export): string => join(exportsFolder, name, 'adapter');

/** A DoRA adapter of every linear. */
export const doraOf = ({ name }: Export): string => join(exportsFolder, name, 'dora');

const floatsOf = (file: string): Float32Array => {
  const bytes = readFileSync(file);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
};

/** Adapters of other kinds that some models have: of IA3, and of LoRA with biases of the base. */
export const moreOf = ({ name }: Export): readonly ('ia3' | 'biases')[] =>
  (['ia3', 'biases'] as const).filter((kind) => existsSync(join(exportsFolder, name, kind)));

export const adapterOfKind = ({ name }: Export, kind: string): string => join(exportsFolder, name, kind);

/** What PyTorch answers with such an adapter, prompt after prompt at all positions. */
export const goldenOfKind = ({ name }: Export, kind: string): Float32Array =>
  floatsOf(join(exportsFolder, name, kind, 'golden.f32'));

/** A prompt, and what PyTorch answers at each of its positions, without an adapter and with each. */
export type Golden = {
  readonly ids: readonly number[];
  readonly base: Float32Array;
  readonly adapted: Float32Array;
  readonly dora: Float32Array;
};

/** True where activations, keys, values and logits were exported in 16 bits. */
export const isHalf = ({ how }: Export): boolean => how.includes('half');

/** Of prompts of `most` tokens at most, or where there are none, of as many of the others. */
export const goldenOf = (exported: Export, most = Infinity): readonly Golden[] => {
  const { name } = exported;
  const file = readFileSync(join(exportsFolder, name, 'golden.json'), 'utf8');
  const { prompts } = JSON.parse(file) as { readonly prompts: readonly (readonly number[])[] };
  const all = floatsOf(join(exportsFolder, name, isHalf(exported) ? 'golden-half.f32' : 'golden.f32'));
  const dora = floatsOf(join(exportsFolder, name, 'dora', 'golden.f32'));
  const tokens = prompts.reduce((sum, ids) => sum + ids.length, 0);
  const width = all.length / (2 * tokens);
  let at = 0;
  const fit = prompts.some(({ length }) => length <= most);
  return prompts.flatMap((whole) => {
    const ids = whole.slice(0, most);
    const rows = (of: Float32Array, first: number): Float32Array =>
      of.subarray(first * width, (first + ids.length) * width);
    const golden = { ids, base: rows(all, at), adapted: rows(all, tokens + at), dora: rows(dora, at) };
    at += whole.length;
    return fit && whole.length > most ? [] : [golden];
  });
};
