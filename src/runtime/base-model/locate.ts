import { readdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { layersOf } from '../../artifact/layers.ts';
import type { Manifest } from '../../artifact/manifest.ts';
import { chooseGraph, isGraph } from '../engine/model/graph-file.ts';

/** The files of an artifact; undefined where some are in archives, which are known once they are here. */
const filesOf = (manifest: Manifest, where: string): readonly string[] | undefined => {
  const contents = layersOf(manifest, where);
  const names = contents.flatMap((content) => (content.kind === 'file' ? [content.name] : []));
  return names.length === contents.length ? names : undefined;
};

/**
 * Refuses an artifact that holds no base model as far as its manifest tells.
 * @throws AdaptletError MODEL_FILE_MISSING, and those of layers
 */
export const refuseWithoutGraph = (manifest: Manifest, where: string): void => {
  const files = filesOf(manifest, where);
  if (files !== undefined && !files.some(isGraph)) chooseGraph(files, { where });
};

/**
 * Refuses an artifact of which no graph can be taken, before gigabytes are fetched in vain.
 * @throws AdaptletError those of {@link chooseGraph} and of layers
 */
export const refuseWithoutChoice = (manifest: Manifest, where: string, file: string | undefined): void => {
  const files = filesOf(manifest, where);
  if (files !== undefined) chooseGraph(files, { where, file });
};

/**
 * The graph of the model below a folder, wherever the tool that pushed it put it: its path relative to the folder.
 * @throws AdaptletError those of {@link chooseGraph}
 */
export const locateGraph = async (
  folder: string,
  where: string,
  file: string | undefined,
): Promise<string> => {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const names = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'));
  return chooseGraph(names, { where, file }).file;
};
