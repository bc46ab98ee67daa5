import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ChatMessage } from '../../../src/runtime/engine/engine.ts';
import type { ModelFolder } from '../../../src/runtime/engine/model/folder.ts';
import { openTextCodec, type TextCodec } from '../../../src/runtime/engine/model/tokenizer.ts';
import { modelsFolder } from '../../support/models.ts';
import { folderOfFile } from '../../support/temporary-folder.ts';
import { tinyFolder } from './tiny.ts';

const fixtures = join(import.meta.dirname, '../../fixtures/tokenizers');
const read = (name: string): unknown => JSON.parse(readFileSync(join(fixtures, name), 'utf8'));

type Digest = { readonly length: number; readonly sha256: string };

export type Encodings = {
  readonly texts: readonly string[];
  /** A text, and how often it is repeated to make about 100 kB. */
  readonly long: Readonly<Record<string, readonly [unit: string, count: number]>>;
  readonly tokenizers: Readonly<
    Record<
      string,
      {
        readonly ids: readonly (readonly number[])[];
        /** null: the text itself. */
        readonly decoded: readonly (string | null)[];
        readonly long: Readonly<Record<string, Digest>>;
        readonly random: readonly { readonly ids: readonly number[]; readonly text: string }[];
        readonly truncated?: Readonly<Record<string, readonly (readonly number[])[]>>;
      }
    >
  >;
};

/** Small tokenizers of the kinds that families of models have. */
export type Families = Readonly<
  Record<
    string,
    {
      readonly tokenizer: { readonly model: { readonly vocab: Readonly<Record<string, number>> } };
      /** Beginnings of the digests of the ids of each text. */
      readonly ids: readonly string[];
      readonly decoded: readonly (string | null)[];
      readonly long: Readonly<Record<string, Digest>>;
      readonly random: readonly { readonly ids: readonly number[]; readonly text: string }[];
    }
  >
>;

type Rendered = string | { readonly refused: string };

export type Templates = {
  readonly conversations: readonly (readonly ChatMessage[])[];
  readonly templates: Readonly<Record<string, string>>;
  readonly models: Readonly<
    Record<
      string,
      readonly {
        readonly with: Rendered;
        readonly without: Rendered;
        readonly ids: readonly number[];
        /** With special tokens in the content as text; null where there are none. */
        readonly safe: readonly number[] | null;
      }[]
    >
  >;
  /** With and without generation prompt. */
  readonly rendered: Readonly<Record<string, readonly (readonly [Rendered, Rendered])[]>>;
};

export const encodings = read('encodings.json') as Encodings;
export const families = read('families.json') as Families;
export const templates = read('templates.json') as Templates;

/** Only what a tokenizer reads; the rest of the model may be missing. */
export const folderOf = (folder: string): ModelFolder => ({
  folder,
  graph: '',
  file: '',
  others: [],
  config: join(folder, 'config.json'),
  tokenizer: join(folder, 'tokenizer.json'),
  tokenizerConfig: join(folder, 'tokenizer_config.json'),
  generationConfig: undefined,
  genaiConfig: undefined,
  chatTemplate: undefined,
});

const folders: Readonly<Record<string, string>> = {
  tiny: join(tinyFolder, 'model'),
  smollm2: join(modelsFolder(), 'smollm2-135m'),
  minilm: join(modelsFolder(), 'minilm'),
};

/** Tokenizers whose files are on this machine. */
export const openedTokenizers = (): readonly { readonly name: string; readonly codec: TextCodec }[] =>
  Object.entries(folders)
    .filter(([, folder]) => existsSync(join(folder, 'tokenizer.json')))
    .map(([name, folder]) => ({ name, codec: openTextCodec(folderOf(folder), 1 << 20) }));

export const openedFamilies = (): readonly { readonly name: string; readonly codec: TextCodec }[] =>
  Object.entries(families).map(([name, { tokenizer }]) => {
    const folder = folderOfFile();
    writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
    writeFileSync(join(folder, 'tokenizer_config.json'), '{}');
    return { name, codec: openTextCodec(folderOf(folder), 1 << 20) };
  });

export const digestOf = (ids: readonly number[]): Digest => {
  const bytes = Buffer.alloc(ids.length * 4);
  for (const [index, id] of ids.entries()) bytes.writeUInt32LE(id, index * 4);
  return { length: ids.length, sha256: createHash('sha256').update(bytes).digest('hex') };
};
