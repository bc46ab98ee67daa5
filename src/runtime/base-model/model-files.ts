import type { Dirent } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, normalize, resolve, sep } from 'node:path';
import { z } from 'zod';
import { mediaTypes } from '../../artifact/manifest.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';
import { graphName } from '../engine/model/graph-file.ts';

/** A file of a base model: under which name it is packed, where it lies, and what it is to readers of ModelPack. */
export type ModelFile = {
  readonly name: string;
  readonly path: string;
  readonly size: number;
  readonly mediaType: string;
};

const configName = 'config.json';
const modulesName = 'modules.json';

/** Packed from the folder itself: what describes the model, and what people want to read. Not other graphs or weights. */
const describing = /^(?!\.)(.+\.(json|jinja|model)|(vocab|merges|added_tokens).*\.txt)$/;
const reading = /^(?!\.)(.+\.(md|txt)|(LICENSE|NOTICE|README)([-.].+)?)$/;
/** Packed from the parent folder, where several precisions share them: the names that an engine looks for there. */
const shared = new Set([
  configName,
  'generation_config.json',
  'genai_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
  modulesName,
  'sentence_bert_config.json',
  'config_sentence_transformers.json',
]);
const licences = /^(LICENSE|NOTICE)([-.].+)?$/;

const modulesSchema = z.array(z.looseObject({ type: z.string(), path: z.string() }));

const listFolder = async (folder: string): Promise<readonly Dirent[]> => {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    throw new AdaptletError('MODEL_FILE_MISSING', `${folder} cannot be listed`, {
      advice: 'Check that the folder is there and may be read.',
      cause: error,
    });
  }
};

/** Whether a file says something about a model to an engine, by its name. */
export const describesModel = (name: string): boolean => describing.test(basename(name));

const typeOf = (name: string): string => (describesModel(name) ? mediaTypes.weightConfig : mediaTypes.doc);

/** Follows links: what counts is the content. Undefined for folders. */
const fileAt = async (path: string, name: string, mediaType: string): Promise<ModelFile | undefined> => {
  const found = await stat(path);
  return found.isFile() ? { name, path, size: found.size, mediaType } : undefined;
};

const namesIn = async (folder: string, wanted: (name: string) => boolean): Promise<readonly string[]> =>
  (await listFolder(folder)).filter((entry) => !entry.isDirectory() && wanted(entry.name)).map((e) => e.name);

/** Undefined for what is no such file: that is for the engine to refuse. */
const modulesIn = (text: string): z.infer<typeof modulesSchema> | undefined => {
  try {
    return modulesSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
};

/** Where sentence-transformers says how it pools: a folder of its own, named in modules.json. */
const poolingNames = async (modules: ModelFile | undefined): Promise<readonly string[]> => {
  if (modules === undefined) return [];
  return (modulesIn(await readFile(modules.path, 'utf8')) ?? [])
    .filter(({ path }) => /^\w[\w.-]*$/.test(path))
    .map(({ path }) => `${path}/${configName}`);
};

const weightAt = async (graph: string, name: string): Promise<ModelFile> => {
  const folder = dirname(graph);
  if (isAbsolute(name) || normalize(name).split(sep).includes('..')) {
    throw new AdaptletError(
      'MODEL_INVALID',
      `${graph} takes weights from outside its folder: ${quoteUntrusted(name)}`,
    );
  }
  const file = await fileAt(join(folder, name), normalize(name), mediaTypes.weight).catch(() => undefined);
  if (file !== undefined) return file;
  throw new AdaptletError(
    'MODEL_FILE_MISSING',
    `${name}, weights of ${basename(graph)}, is not in ${folder}`,
  );
};

const byName = (a: ModelFile, b: ModelFile): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

/**
 * The files of the base model with a graph, as the engine finds them beside it and in the parent folder; all of them in one folder
 * under their own names, but the graph as model.onnx, which needs no word to be found. In a fixed order: what describes the model,
 * its graph, its weights, what is for reading.
 * @param weightFiles files with the weights, relative to the graph
 * @throws AdaptletError MODEL_FILE_MISSING, MODEL_INVALID
 */
export const modelFilesOf = async (
  graphPath: string,
  weightFiles: readonly string[],
): Promise<readonly ModelFile[]> => {
  const graphFile = resolve(graphPath);
  const root = dirname(graphFile);
  const own = await namesIn(root, (name) => describesModel(name) || reading.test(name));
  const places = new Map(own.map((name) => [name, join(root, name)]));
  const parent = dirname(root);
  if (!places.has(configName)) {
    const around = await namesIn(parent, (name) => shared.has(name) || licences.test(name));
    // Else the parent is just any folder.
    if (around.includes(configName))
      for (const name of around) if (!places.has(name)) places.set(name, join(parent, name));
  }
  const found: ModelFile[] = [];
  for (const [name, path] of places) {
    const file = weightFiles.includes(name) ? undefined : await fileAt(path, name, typeOf(name));
    if (file !== undefined) found.push(file);
  }
  const modules = found.find(({ name }) => name === modulesName);
  for (const name of await poolingNames(modules)) {
    const path = join(dirname(modules?.path ?? root), name);
    const file = await fileAt(path, name, mediaTypes.weightConfig).catch(() => undefined);
    if (file !== undefined) found.push(file);
  }
  const graphType = weightFiles.length === 0 ? mediaTypes.weight : mediaTypes.weightConfig;
  const graph = await fileAt(graphFile, graphName, graphType).catch(() => undefined);
  if (graph === undefined)
    throw new AdaptletError('MODEL_FILE_MISSING', `${basename(graphFile)} is not in ${root}`);
  const weights = await Promise.all(weightFiles.map((name) => weightAt(graphFile, name)));
  const inOrder = found.sort(byName);
  const isDoc = ({ mediaType }: ModelFile): boolean => mediaType === mediaTypes.doc;
  return [
    ...inOrder.filter((file) => !isDoc(file)),
    graph,
    ...weights.sort(byName),
    ...inOrder.filter(isDoc),
  ];
};
