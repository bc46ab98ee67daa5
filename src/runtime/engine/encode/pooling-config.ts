import { join } from 'node:path';
import { z } from 'zod';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';
import { readModelJson } from '../model/settings.ts';

/** What a node was told; the files of the model win. */
export type PoolingOptions = {
  readonly pooling?: 'mean' | 'cls' | 'pooler' | undefined;
  /** Absent: embeddings have the length 1. */
  readonly normalize?: boolean | undefined;
};

/** How the text's vector is made, as the files of a model say it. */
export type PoolingConfig = {
  readonly pooling: 'mean' | 'cls' | 'pooler';
  /** Undefined: they do not say it. */
  readonly normalize: boolean | undefined;
  /** Tokens that texts are cut to; undefined: as many as the model has positions. */
  readonly maxTokens: number | undefined;
  /** The files that say so: they are a part of the model. */
  readonly files: readonly string[];
};

const modulesSchema = z.array(z.object({ type: z.string(), path: z.string() }));
const poolingSchema = z.looseObject({});
const sentenceSchema = z.object({ max_seq_length: z.number().int().positive().nullish() });
const promptsSchema = z.object({ default_prompt_name: z.string().nullish() });

const unsupported = (what: string): AdaptletError =>
  new AdaptletError('MODEL_UNSUPPORTED', what, {
    advice:
      'Use a sentence-transformers model that pools by mean or cls, without further modules or a default prompt.',
  });

const modes: Readonly<Record<string, 'mean' | 'cls'>> = {
  pooling_mode_mean_tokens: 'mean',
  pooling_mode_cls_token: 'cls',
};

/** Exactly one of the modes is on; several would be put side by side. */
const modeOf = (path: string): 'mean' | 'cls' => {
  const config = readModelJson(path, poolingSchema);
  const on = Object.entries(config).flatMap(([name, value]) =>
    name.startsWith('pooling_mode_') && value === true ? [name] : [],
  );
  const named: unknown = config['pooling_mode'];
  if (on.length === 0 && (named === 'mean' || named === 'cls')) return named;
  const [only = ''] = on;
  const mode = on.length === 1 && Object.hasOwn(modes, only) ? modes[only] : undefined;
  if (mode !== undefined) return mode;
  throw unsupported(
    `${path} asks for the pooling [${on.join(', ') || quoteUntrusted(typeof named === 'string' ? named : 'none')}]; supported are mean and cls, one of them`,
  );
};

type Modules = { readonly poolingPath: string | undefined; readonly normalize: boolean };

/** sentence-transformers' list of what a text goes through. What is not known there would change the embedding. */
const readModules = (path: string): Modules => {
  let poolingPath: string | undefined;
  let normalize = false;
  for (const module of readModelJson(path, modulesSchema)) {
    const kind = module.type.slice(module.type.lastIndexOf('.') + 1);
    if (kind === 'Transformer') continue;
    if (kind === 'Normalize') normalize = true;
    else if (kind === 'Pooling' && /^\w[\w.-]*$/.test(module.path)) poolingPath = module.path;
    else
      throw unsupported(
        `${path} has a module of the type ${quoteUntrusted(module.type)} in ${quoteUntrusted(module.path)}`,
      );
  }
  return { poolingPath, normalize };
};

const refuseDefaultPrompt = (path: string): void => {
  const { default_prompt_name: name } = readModelJson(path, promptsSchema);
  if (typeof name !== 'string') return;
  throw unsupported(`${path} puts the prompt ${quoteUntrusted(name)} before every text`);
};

/**
 * Reads how a sentence-transformers model pools: `modules.json` with `1_Pooling/config.json`, and `sentence_bert_config.json`
 * for the length that texts are cut to. Where they say nothing of pooling: `options`, then the mean over the tokens.
 * @throws MODEL_INVALID, MODEL_UNSUPPORTED
 */
export const readPoolingConfig = (
  root: (file: string) => string | undefined,
  options: Pick<PoolingOptions, 'pooling'>,
): PoolingConfig => {
  const [modulesFile, sentenceFile, promptsFile] = [
    'modules.json',
    'sentence_bert_config.json',
    'config_sentence_transformers.json',
  ].map(root);
  const modules = modulesFile === undefined ? undefined : readModules(modulesFile);
  if (promptsFile !== undefined) refuseDefaultPrompt(promptsFile);
  const poolingFile = root(join(modules?.poolingPath ?? '1_Pooling', 'config.json'));
  const sentence = sentenceFile === undefined ? undefined : readModelJson(sentenceFile, sentenceSchema);
  const files = [modulesFile, poolingFile, sentenceFile].filter((file) => file !== undefined);
  return {
    pooling: poolingFile === undefined ? (options.pooling ?? 'mean') : modeOf(poolingFile),
    normalize: modules?.normalize,
    maxTokens: sentence?.max_seq_length ?? undefined,
    files,
  };
};
