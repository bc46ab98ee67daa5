import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join, normalize, resolve, sep } from 'node:path';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { type Graph, readGraph } from '../onnx/graph.ts';
import { withNormsApart } from '../onnx/norms-apart.ts';
import { refuseOwnDomain } from '../onnx/own-domain.ts';
import { withWholeCaches } from '../onnx/whole-caches.ts';
import { chooseGraphIn, findGraph } from './graph-file.ts';

/** The files of a base model; `folder` is that of its graph. Paths are absolute. */
export type ModelFolder = {
  readonly folder: string;
  readonly graph: string;
  /** The graph and the model's other ones, relative to the folder that someone named. */
  readonly file: string;
  readonly others: readonly string[];
  /** Absent: ONNX Runtime GenAI's configuration says all that is needed. */
  readonly config: string | undefined;
  readonly tokenizer: string;
  readonly tokenizerConfig: string;
  readonly generationConfig: string | undefined;
  readonly genaiConfig: string | undefined;
  readonly chatTemplate: string | undefined;
};

/** What lies in the root of each model on a hub, in PyTorch's form as in ONNX. */
export const fromTheRoot =
  'Copy it from the model that was exported: it is in its folder, or on its page on the hub.';

/**
 * The graph of the base model in a folder; see {@link findGraph}.
 * @throws MODEL_FILE_MISSING, MODEL_INVALID, MODEL_UNSUPPORTED, CONFIG_INVALID
 */
export const readModelGraph = (folder: string, file?: string): Graph => {
  const model = readFileSync(findGraph(folder, file));
  refuseOwnDomain(model);
  return readGraph(withNormsApart(withWholeCaches(model)));
};

/**
 * Finds the files of a base model around its graph, see {@link findGraph}. Configuration and tokenizer lie beside it or, where
 * several precisions share them, in the parent folder.
 * @throws MODEL_FILE_MISSING, MODEL_INVALID, CONFIG_INVALID
 */
export const openModelFolder = (folder: string, file?: string): ModelFolder => {
  const { file: chosen, others } = chooseGraphIn(folder, file);
  const graph = join(resolve(folder), chosen);
  const root = dirname(graph);
  const find = (name: string): string | undefined =>
    [join(root, name), join(dirname(root), name)].find((path) => existsSync(path));
  const missing = (name: string): AdaptletError =>
    new AdaptletError('MODEL_FILE_MISSING', `${name} is neither in ${root} nor in its parent folder`, {
      advice: fromTheRoot,
    });
  const need = (name: string): string => {
    const path = find(name);
    if (path !== undefined) return path;
    throw missing(name);
  };
  const config = find('config.json');
  const genaiConfig = find('genai_config.json');
  if (config === undefined && genaiConfig === undefined) throw missing('config.json');
  return {
    folder: root,
    graph,
    file: chosen,
    others,
    config,
    tokenizer: need('tokenizer.json'),
    tokenizerConfig: need('tokenizer_config.json'),
    generationConfig: find('generation_config.json'),
    genaiConfig,
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
    // A name such as '' or '.' leads to a folder.
    if (!existsSync(path) || !statSync(path).isFile()) {
      throw new AdaptletError(
        'MODEL_FILE_MISSING',
        `${name}, the weights of ${model.graph}, is not in ${model.folder}`,
      );
    }
    return path;
  });
};
