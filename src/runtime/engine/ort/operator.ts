import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { arch, platform } from 'node:os';
import { fileURLToPath } from 'node:url';
import koffi, { type LibraryHandle } from 'koffi';

/** The native operator: see native/lora.c. */
export type Operator = {
  readonly path: string;
  /** Of the library: another one may round otherwise. */
  readonly digest: string;
  /** That of this processor which it uses. */
  readonly instructionSet: string;
};

/** As in native/lora.c: of the table of an adapter, and of the operator's attributes. */
const wantedVersion = 2;

/** A library that was unloaded would leave ONNX Runtime with addresses of nothing. */
const loaded = new Map<string, LibraryHandle>();

/** Where `make native` puts it; images have it below the bundle, by the same path (image/bundle). */
const built = new URL('../../../../native/build/', import.meta.url);

/** The one that was built for this machine, if it was. */
export const builtOperator = (): string =>
  fileURLToPath(new URL(`${platform()}-${arch()}/libadaptlet-lora.so`, built));

const load = (path: string): Operator => {
  const library = loaded.get(path) ?? koffi.load(path);
  loaded.set(path, library);
  const version = library.func('int AdaptletOperatorVersion()') as unknown as () => number;
  const instructionSet = library.func('const char *AdaptletInstructionSet()') as unknown as () => string;
  if (version() !== wantedVersion)
    throw new Error(`it is of version ${version()}; ${wantedVersion} is needed: build it again`);
  const digest = createHash('sha256').update(readFileSync(path)).digest('hex');
  return { path, digest, instructionSet: instructionSet() };
};

/**
 * The operator that is wanted: `off`, a path, or `auto`, which is the one that was built, if it was. What is not there, or is not
 * an operator that fits, is told and never stops anything: graphs then take adapters in the portable way.
 */
export const findOperator = (wish: string, warn: (message: string) => void): Operator | undefined => {
  if (wish === 'off') return undefined;
  const path = wish === 'auto' ? builtOperator() : wish;
  if (wish === 'auto' && !existsSync(path)) return undefined;
  try {
    return load(path);
  } catch (error) {
    warn(`the native operator ${path} cannot be used, adapters take the portable way: ${String(error)}`);
    return undefined;
  }
};
