import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type Digest, digestSchema } from '../../../api/names.ts';
import { writeDurable } from '../../../disk/durable.ts';
import { readChunks } from '../../../disk/read-chunks.ts';
import type { ModelFolder } from './folder.ts';

/** A file of the base model under the name that goes into the digest, so that a moved folder keeps its digest. */
export type NamedFile = { readonly name: string; readonly path: string };

export type DigestOptions = { readonly cacheDir: string; readonly doing: (what: string) => void };

const rememberedSchema = z.object({ files: z.array(z.string()), digest: digestSchema });

export const filesOf = (model: ModelFolder, weights: readonly string[]): readonly NamedFile[] => [
  { name: 'graph', path: model.graph },
  ...weights.map((path, index) => ({ name: `weights-${index}`, path })),
  ...optional('config', model.config),
  { name: 'tokenizer', path: model.tokenizer },
  { name: 'tokenizer-config', path: model.tokenizerConfig },
  ...optional('generation-config', model.generationConfig),
  ...optional('genai-config', model.genaiConfig),
  ...optional('chat-template', model.chatTemplate),
];

const optional = (name: string, path: string | undefined): readonly NamedFile[] =>
  path === undefined ? [] : [{ name, path }];

/** Path, size and modification time: a change of the content changes one of them. */
const stampOf = ({ name, path }: NamedFile): string => {
  const { size, mtimeMs } = statSync(path);
  return `${name} ${path} ${size} ${mtimeMs}`;
};

const hashFile = async (path: string): Promise<string> => {
  const hash = createHash('sha256');
  for await (const chunk of readChunks(path)) hash.update(chunk);
  return hash.digest('hex');
};

const recall = (file: string): z.infer<typeof rememberedSchema> | undefined => {
  try {
    return rememberedSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    // Not there yet, or written by another version: the digest is computed again.
    return undefined;
  }
};

/**
 * Digest of a base model: sha256 over names and content of graph, weights, configuration and tokenizer. Remembered
 * in `cacheDir` by path, size and modification time of each file.
 */
export const digestModel = async (
  model: ModelFolder,
  weights: readonly string[],
  options: DigestOptions,
): Promise<Digest> => await digestFiles(model.folder, filesOf(model, weights), options);

/** {@link digestModel} of a base model with other files. */
export const digestFiles = async (
  folder: string,
  files: readonly NamedFile[],
  { cacheDir, doing }: DigestOptions,
): Promise<Digest> => {
  const stamps = files.map(stampOf);
  const place = createHash('sha256').update(folder).digest('hex').slice(0, 12);
  const memory = join(cacheDir, `base-digest-${place}.json`);
  const known = recall(memory);
  if (known !== undefined && known.files.join('\n') === stamps.join('\n')) return known.digest;
  doing('reading its files for their digest, once');
  const whole = createHash('sha256');
  for (const { name, path } of files) whole.update(`${name} ${await hashFile(path)}\n`);
  const digest = digestSchema.parse(`sha256:${whole.digest('hex')}`);
  await writeDurable(memory, JSON.stringify({ files: stamps, digest }));
  return digest;
};
