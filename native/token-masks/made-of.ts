import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export const folder = import.meta.dirname;
/** Where the runtime looks for it, also below the bundle: see src/runtime/engine/structure/instance.ts. */
export const modulePath = 'native/token-masks/token-masks.wasm';
export const moduleFile = join(folder, 'token-masks.wasm');
export const licenceFile = join(folder, 'LICENSE-llguidance');
export const madeFile = join(folder, 'made.json');

/** What token-masks.wasm was made of: versions, and SHA-256 of its sources and of itself. */
export type MadeOf = {
  readonly llguidance: string;
  readonly rustc: string;
  readonly sources: string;
  readonly module: string;
};

const sources = ['Cargo.toml', 'Cargo.lock', 'src/lib.rs', 'build.ts'] as const;

export const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export const sourcesDigest = async (): Promise<string> => {
  const hash = createHash('sha256');
  for (const name of sources) hash.update(`${name}\0`).update(await readFile(join(folder, name)));
  return hash.digest('hex');
};

export const readMadeOf = async (): Promise<MadeOf> => JSON.parse(await readFile(madeFile, 'utf8')) as MadeOf;
