import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { aboutFixture, fixtureGraph } from './onnx-fixture.ts';
import { scratch, tinyFolder } from './tiny.ts';

/** What make.py of test/fixtures/onnx says of its decoders. */
const sizes = {
  hidden_size: 24,
  intermediate_size: 28,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 16,
  max_position_embeddings: 32,
  vocab_size: 20,
};

/** A model folder around a decoder of test/fixtures/onnx, with the tiny model's tokenizer. */
export const fixtureFolder = (name: string): string => {
  const folder = join(scratch(), 'model');
  mkdirSync(folder);
  writeFileSync(join(folder, 'model.onnx'), fixtureGraph(name));
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
    copyFileSync(join(tinyFolder, 'model', file), join(folder, file));
  }
  const tiny = JSON.parse(readFileSync(join(tinyFolder, 'model/config.json'), 'utf8')) as object;
  const config = { ...tiny, ...sizes, model_type: aboutFixture(name).modelType };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  return folder;
};
