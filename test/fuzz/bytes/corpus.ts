import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

const folder = join(import.meta.dirname, 'corpus');

/** An input that broke a target once. */
export type Found = { readonly name: string; readonly bytes: Uint8Array };

/** Inputs of corpus/TARGET. Names that end in `.packed` are kept compressed. */
export const corpusOf = (target: string): readonly Found[] => {
  const own = join(folder, target);
  if (!existsSync(own)) return [];
  return readdirSync(own)
    .toSorted()
    .map((name) => {
      const bytes = readFileSync(join(own, name));
      return { name, bytes: name.endsWith('.packed') ? gunzipSync(bytes) : bytes };
    });
};

/** Targets that the corpus has inputs of. */
export const targetsInCorpus = (): readonly string[] =>
  readdirSync(folder).filter((name) => name !== 'README.md');

/** Writes what was found, under a name of its content. */
export const keep = (into: string, target: string, bytes: Uint8Array): string => {
  const path = join(into, target, createHash('sha256').update(bytes).digest('hex').slice(0, 12));
  mkdirSync(join(into, target), { recursive: true });
  writeFileSync(path, bytes);
  return path;
};
