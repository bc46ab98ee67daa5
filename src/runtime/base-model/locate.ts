import { readdir } from 'node:fs/promises';
import { relative } from 'node:path';
import { layersOf } from '../../artifact/layers.ts';
import type { Manifest } from '../../artifact/manifest.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { graphName } from './model-files.ts';

const noGraph = (where: string): AdaptletError =>
  new AdaptletError('MODEL_FILE_MISSING', `${where} has no ${graphName}`, {
    advice: 'Push the folder of a base model with adaptlet model push.',
  });

/**
 * Refuses an artifact that holds no base model as far as its manifest tells, before gigabytes are fetched in vain.
 * @throws AdaptletError MODEL_FILE_MISSING, and those of layers
 */
export const refuseWithoutGraph = (manifest: Manifest, where: string): void => {
  const contents = layersOf(manifest, where);
  const mayHave = contents.some(
    (content) => content.kind === 'archive' || content.name.split('/').at(-1) === graphName,
  );
  if (!mayHave) throw noGraph(where);
};

/**
 * The folder below `folder` that holds the graph, wherever the tool that pushed it put it.
 * @throws AdaptletError MODEL_FILE_MISSING, MODEL_INVALID when there are several
 */
export const locateModel = async (folder: string, where: string): Promise<string> => {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const places = entries
    .filter((entry) => entry.isFile() && entry.name === graphName)
    .map((entry) => entry.parentPath)
    .sort();
  const [place] = places;
  if (place === undefined) throw noGraph(where);
  if (places.length === 1) return place;
  const named = places.map((path) => relative(folder, path) || '.').join(', ');
  throw new AdaptletError('MODEL_INVALID', `${where} has ${graphName} in several folders: ${named}`, {
    advice: 'Push one base model an artifact.',
  });
};
