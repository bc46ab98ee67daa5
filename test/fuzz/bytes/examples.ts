import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { catalogue, type ErrorCode } from '../../../src/errors/catalogue.ts';

const root = join(import.meta.dirname, '../../..');

/** Files of the repository, by paths from its root. */
export const filesAt = (...paths: readonly string[]): readonly Uint8Array[] =>
  paths.map((path) => readFileSync(join(root, path)));

/** The file of this name in each folder of a folder that has it. */
export const fileInEach = (folder: string, file: string): readonly Uint8Array[] =>
  readdirSync(join(root, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => {
      const names = readdirSync(join(root, folder, name));
      return names.includes(file) ? filesAt(`${folder}/${name}/${file}`) : [];
    });

export const texts = (...each: readonly string[]): readonly Uint8Array[] =>
  each.map((text) => Buffer.from(text));

export const jsonTexts = (...each: readonly unknown[]): readonly Uint8Array[] =>
  texts(...each.map((value) => JSON.stringify(value)));

/** All codes of the catalogue with this beginning. */
export const codesOf = (...prefixes: readonly string[]): readonly ErrorCode[] =>
  (Object.keys(catalogue) as ErrorCode[]).filter((code) =>
    prefixes.some((prefix) => code.startsWith(prefix)),
  );
