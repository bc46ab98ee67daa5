import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** As many requests as an engine decodes together by default, with the tokens that each has alone: 60 short answers take 3.8 s, not 6.1. */
export const rowsTogether = 8;

export type RealModel = {
  /** Folder of SmolLM2-135M int4; configuration and tokenizer lie in its parent. */
  readonly modelDir: string;
  /** Folder with its trained adapters, one folder each. */
  readonly adapters: string;
  /** Folder with the held-out rows of their tasks. */
  readonly eval: string;
};

/** ADAPTLET_MODELS, or the folder beside the repository; it need not exist. */
export const modelsFolder = (): string =>
  process.env['ADAPTLET_MODELS'] ?? join(import.meta.dirname, '../../../shared/models');

/** MiniLM with its classifiers; undefined where it is not. */
export const minilm = (): RealModel | undefined => {
  const root = join(modelsFolder(), 'minilm');
  const modelDir = join(root, 'onnx-int8');
  if (!existsSync(join(modelDir, 'model.onnx'))) return undefined;
  return { modelDir, adapters: join(root, 'adapters'), eval: join(root, 'eval') };
};

/** SmolLM2 with its adapters, in ADAPTLET_MODELS or beside the repository; undefined where it is not. */
export const smollm = (): RealModel | undefined => {
  const root = modelsFolder();
  const modelDir = join(root, 'smollm2-135m/onnx-int4');
  if (!existsSync(join(modelDir, 'model.onnx'))) return undefined;
  return { modelDir, adapters: join(root, 'adapters'), eval: join(root, 'eval') };
};
