import { existsSync, readFileSync } from 'node:fs';
import { dirname, isAbsolute, join, normalize, resolve, sep } from 'node:path';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { type Graph, readGraph } from '../onnx/graph.ts';
import { withWholeCaches } from '../onnx/whole-caches.ts';

/** The files of a base model. Paths are absolute. */
export type ModelFolder = {
  readonly folder: string;
  readonly graph: string;
  readonly config: string;
  readonly tokenizer: string;
  readonly tokenizerConfig: string;
  readonly generationConfig: string | undefined;
  readonly genaiConfig: string | undefined;
  readonly chatTemplate: string | undefined;
};

const graphFile = (folder: string): string => {
  const path = join(resolve(folder), 'model.onnx');
  if (existsSync(path)) return path;
  throw new AdaptletError('MODEL_FILE_MISSING', `model.onnx is not in ${resolve(folder)}`);
};

/**
 * The graph of the base model in a folder.
 * @throws MODEL_FILE_MISSING, MODEL_INVALID, MODEL_UNSUPPORTED
 */
export const readModelGraph = (folder: string): Graph =>
  readGraph(withWholeCaches(readFileSync(graphFile(folder))));

/**
 * Finds the files of a base model. `folder` holds model.onnx; configuration and tokenizer lie beside it or, where
 * several precisions share them, in the parent folder.
 * @throws MODEL_FILE_MISSING
 */
export const openModelFolder = (folder: string): ModelFolder => {
  const root = resolve(folder);
  const find = (name: string): string | undefined =>
    [join(root, name), join(dirname(root), name)].find((path) => existsSync(path));
  const need = (name: string): string => {
    const path = find(name);
    if (path !== undefined) return path;
    throw new AdaptletError('MODEL_FILE_MISSING', `${name} is neither in ${root} nor in its parent folder`);
  };
  return {
    folder: root,
    graph: graphFile(root),
    config: need('config.json'),
    tokenizer: need('tokenizer.json'),
    tokenizerConfig: need('tokenizer_config.json'),
    generationConfig: find('generation_config.json'),
    genaiConfig: find('genai_config.json'),
    chatTemplate: find('chat_template.jinja'),
  };
};

/**
 * The files with the weights of a graph, sorted.
 * @throws MODEL_INVALID when one lies outside the model's folder, MODEL_FILE_MISSING
 */
export const weightFilesOf = (
  model: Pick<ModelFolder, 'folder' | 'graph'>,
  graph: Graph,
): readonly string[] => {
  const names = new Set<string>();
  for (const { location } of graph.initializers.values()) if (location !== undefined) names.add(location);
  return [...names].sort().map((name) => {
    const path = join(model.folder, name);
    if (isAbsolute(name) || normalize(name).split(sep).includes('..')) {
      throw new AdaptletError(
        'MODEL_INVALID',
        `${model.graph} takes weights from outside its folder: ${JSON.stringify(name)}`,
      );
    }
    if (!existsSync(path)) {
      throw new AdaptletError(
        'MODEL_FILE_MISSING',
        `${name}, the weights of ${model.graph}, is not in ${model.folder}`,
      );
    }
    return path;
  });
};
