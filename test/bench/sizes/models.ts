import { createHash } from 'node:crypto';
import { copyFile, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { modelsFolder, smollm } from '../../support/models.ts';
import { writeSyntheticAdapter } from '../../support/synthetic-adapter.ts';
import { madeOnce, run } from '../peers/install.ts';
import { torchPython, versions } from '../peers/pythons.ts';
import { type ShapeName, shapes } from './shapes.ts';

/** A model of random weights in a real shape, as each program wants it, with adapters. */
export type RealSize = {
  readonly name: ShapeName;
  /** As the model builder of ONNX Runtime GenAI writes it. */
  readonly modelDir: string;
  readonly configFile: string;
  readonly gguf: string;
  /** PEFT folders of rank 16 on every linear. */
  readonly r16: readonly string[];
  /** Rank 8 on queries and values. */
  readonly qv8: string;
};

/** int4 in blocks of 32, and a head of 8 bits that is the embedding too. */
const builderOptions = [
  'accuracy_level=4',
  'block_size=32',
  'is_symmetric=false',
  'algo_config=rtn',
  'matmul_mixed_precision=last_matmul:int8',
  'shared_embeddings=true',
  'fuse_qkv=false',
];

/** By default Gemma's local layers get caches of their window only; Adaptlet and GenAI are compared with whole ones. */
const optionsOf = (name: ShapeName): readonly string[] =>
  'sliding_window' in shapes[name] ? [...builderOptions, 'windowed_kv_cache=false'] : builderOptions;

const adapterCount = 8;

/** Of SmolLM2. */
const tokenizerFolder = (): string => {
  const real = smollm();
  if (real !== undefined) return join(real.modelDir, '..');
  throw new Error(
    `sizes takes the tokenizer of smollm2-135m, which is not in ${modelsFolder()} (ADAPTLET_MODELS says where to look)`,
  );
};

const script = (name: string): string => join(import.meta.dirname, name);

/** What a model depends on: with another version it is made again. */
const digestOf = async (name: ShapeName): Promise<string> => {
  const hash = createHash('sha256').update(JSON.stringify([shapes[name], versions, optionsOf(name)]));
  for (const file of ['make_model.py', 'to_gguf.py']) hash.update(await readFile(script(file)));
  return hash.digest('hex').slice(0, 12);
};

const makeAdapters = async (folder: string, configFile: string): Promise<void> => {
  for (let seed = 1; seed <= adapterCount; seed += 1)
    await writeSyntheticAdapter(join(folder, `r16-${seed}`), configFile, { rank: 16, seed });
  const modules = ['q_proj', 'v_proj'];
  await writeSyntheticAdapter(join(folder, 'qv8'), configFile, { rank: 8, seed: 50, modules });
};

const make = async (name: ShapeName, made: string): Promise<void> => {
  const tokenizer = tokenizerFolder();
  const python = await torchPython();
  const [shape, source, onnx, cache] = ['shape.json', 'transformers', 'onnx', 'cache'].map((part) =>
    join(made, part),
  ) as [string, string, string, string];
  await writeFile(shape, JSON.stringify(shapes[name]));
  console.error(`sizes: ${name}: random weights`);
  await run(python, [script('make_model.py'), shape, tokenizer, source]);
  console.error(`sizes: ${name}: the model builder writes int4`);
  const flags = ['-m', '', '-i', source, '-o', onnx, '-p', 'int4', '-e', 'cpu', '-c', cache];
  const builder = ['-m', 'onnxruntime_genai.models.builder'];
  await run(python, [...builder, ...flags, '--extra_options', ...optionsOf(name)], { HF_HUB_OFFLINE: '1' });
  for (const file of ['config.json', 'generation_config.json'])
    await copyFile(join(source, file), join(onnx, file));
  console.error(`sizes: ${name}: GGUF`);
  await run(python, [script('to_gguf.py'), source, shape, join(made, 'model.gguf')]);
  await makeAdapters(join(made, 'adapters'), join(onnx, 'config.json'));
  for (const rest of [source, cache]) await rm(rest, { recursive: true, force: true });
};

/** Makes the model at the first call; later ones find it in the bench's cache. */
export const realSize = async (name: ShapeName): Promise<RealSize> => {
  const folder = await madeOnce(name, await digestOf(name), async (made) => {
    console.error(`sizes: ${name} takes minutes, and several times its size in memory and on disk`);
    await make(name, made);
  });
  const modelDir = join(folder, 'onnx');
  const adapters = join(folder, 'adapters');
  return {
    name,
    modelDir,
    configFile: join(modelDir, 'config.json'),
    gguf: join(folder, 'model.gguf'),
    r16: Array.from({ length: adapterCount }, (_, i) => join(adapters, `r16-${i + 1}`)),
    qv8: join(adapters, 'qv8'),
  };
};
