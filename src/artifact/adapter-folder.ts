import { join, posix, relative, sep } from 'node:path';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';
import { ggufError, layersOf } from './layers.ts';
import type { Manifest } from './manifest.ts';
import { configFile, weightsFile } from './pack.ts';
import type { StoreDisk, StorePoint } from './store-points.ts';

/** Of the names of all files of an artifact: the folders that are adapters. Pure. */
export const adapterFoldersIn = (names: readonly string[]): readonly string[] =>
  names.filter((name) => posix.basename(name) === configFile).map((name) => posix.dirname(name));

/** @throws AdaptletError ARTIFACT_AMBIGUOUS */
export const onlyFolder = (folders: readonly string[], where: string): string | undefined => {
  const [first, ...more] = folders;
  if (more.length === 0) return first;
  const some = folders.slice(0, 3).map((folder) => (folder === '.' ? 'its top' : quoteUntrusted(folder)));
  const rest = folders.length > some.length ? ` and ${folders.length - some.length} more` : '';
  throw new AdaptletError(
    'ARTIFACT_AMBIGUOUS',
    `${where} has ${folders.length} adapters: in ${some.join(', ')}${rest}`,
  );
};

/**
 * Refuses what is no adapter, or more than one, before its files are fetched: as far as its manifest tells.
 * @throws AdaptletError ARTIFACT_AMBIGUOUS, ARTIFACT_FORMAT, and those of layers
 */
export const refuseUnreadable = (manifest: Manifest, where: string): void => {
  const contents = layersOf(manifest, where);
  const names = contents.flatMap((content) => (content.kind === 'file' ? [content.name] : []));
  if (onlyFolder(adapterFoldersIn(names), where) !== undefined || names.length < contents.length) return;
  const gguf = names.find((name) => name.endsWith('.gguf'));
  if (gguf !== undefined) throw ggufError(`${where} has ${quoteUntrusted(gguf)} and no ${configFile}`);
  const exported = names.find((name) => name.endsWith('.onnx_adapter'));
  if (exported === undefined || names.some((name) => name.endsWith('.onnx'))) return;
  throw new AdaptletError(
    'ARTIFACT_FORMAT',
    `${where} has ${quoteUntrusted(exported)} and no ${configFile}`,
    {
      advice:
        'An .onnx_adapter is for the inputs of one exported graph. Push the folder that PEFT saved, by adaptlet push or oras.',
    },
  );
};

/**
 * The same for who wants an adapter and nothing else.
 * @throws AdaptletError ARTIFACT_NOT_FOUND
 */
export const refuseOther = (manifest: Manifest, where: string): void => {
  refuseUnreadable(manifest, where);
  const isAdapter = layersOf(manifest, where).some(
    (content) =>
      content.kind === 'archive' || [configFile, weightsFile].includes(posix.basename(content.name)),
  );
  if (isAdapter) return;
  throw new AdaptletError('ARTIFACT_NOT_FOUND', `${where} has neither ${configFile} nor ${weightsFile}`, {
    advice: 'Name the artifact of an adapter; base models are pulled by adaptlet model pull.',
  });
};

/**
 * Where the files of an adapter begin below `files`: the one folder with an adapter_config.json, however deep. Of a base
 * model, and of what has none, it is `files`.
 * @throws AdaptletError ARTIFACT_AMBIGUOUS
 */
export const adapterFolder = async (
  disk: StoreDisk,
  at: StorePoint,
  files: string,
  where: string,
): Promise<string> => {
  const entries = await disk.entries(at, files, { recursive: true });
  const names = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(files, join(entry.parentPath, entry.name)).split(sep).join('/'));
  if (names.some((name) => name.endsWith('.onnx'))) return files;
  const only = onlyFolder(adapterFoldersIn(names), where);
  return only === undefined ? files : join(files, only);
};
