import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fixtureGraph } from '../../support/fixture-models.ts';
import { tinyFolder } from './tiny.ts';

/** The fixture graph of an encoder that gives last_hidden_state and pooler_output. */
export const bertFixture = 'bert-model';
export const bertHidden = 24;

/** Writes a base model around it; texts have to come as tokens, the tokenizer is another model's. Returns its folder. */
export const writeBertModel = (folder: string): string => {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'model.onnx'), fixtureGraph(bertFixture));
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
    cpSync(join(tinyFolder, 'model', file), join(folder, file));
  }
  const config = {
    model_type: 'bert',
    max_position_embeddings: 16,
    vocab_size: 20,
    hidden_size: bertHidden,
    num_attention_heads: 2,
  };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  return folder;
};
