import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A module of WebAssembly, in Rust: the same file for all machines, in the repository. */
export type Module = {
  readonly name: string;
  /** Crates of others that it is made of, and their licences. */
  readonly crates: Readonly<Record<string, string>>;
  /** For rustc. */
  readonly flags: readonly string[];
  /** Bytes of memory of an instance at most. */
  readonly memory: number;
};

export const tokenMasks: Module = {
  name: 'token-masks',
  crates: { llguidance: 'MIT' },
  flags: [],
  memory: 256 << 20,
};
export const sampling: Module = {
  name: 'sampling',
  crates: {},
  flags: ['-C target-feature=+simd128'],
  memory: 256 << 20,
};
export const modules = [tokenMasks, sampling] as const;

export const folderOf = ({ name }: Module): string => join(import.meta.dirname, name);
/** Where the runtime looks for it, also below the bundle. */
export const pathOf = ({ name }: Module): string => `native/${name}/${name}.wasm`;
export const fileOf = (module: Module): string => join(folderOf(module), `${module.name}.wasm`);
export const madeFileOf = (module: Module): string => join(folderOf(module), 'made.json');
export const licenceFile = join(folderOf(tokenMasks), 'LICENSE-llguidance');

/** What a module was made of: versions, and SHA-256 of its sources and of itself. */
export type MadeOf = {
  /** Versions. */
  readonly crates: Readonly<Record<string, string>>;
  readonly rustc: string;
  readonly sources: string;
  readonly module: string;
};

export const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export const sourcesDigest = async (module: Module): Promise<string> => {
  const folder = folderOf(module);
  const sources = (await readdir(join(folder, 'src'))).toSorted().map((name) => `src/${name}`);
  const hash = createHash('sha256').update(JSON.stringify(module));
  for (const name of ['Cargo.toml', 'Cargo.lock', ...sources, '../build-module.ts'])
    hash.update(`${name}\0`).update(await readFile(join(folder, name)));
  return hash.digest('hex');
};

export const readMadeOf = async (module: Module): Promise<MadeOf> =>
  JSON.parse(await readFile(madeFileOf(module), 'utf8')) as MadeOf;
