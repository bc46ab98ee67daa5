import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Graph } from '../onnx/graph.ts';
import { inputIds, isEncoder } from '../session/encoder-graph.ts';
import type { Task } from '../tasks.ts';

const hasTokenizer = (folder: string): boolean =>
  [folder, dirname(folder)].some((place) => existsSync(join(place, 'tokenizer.json')));

/**
 * What the base model in a folder does. Tensors: its graph takes no `input_ids`, and no tokenizer lies beside it. Embed: it gives
 * states of tokens or of a text. Everything else generates, or is refused when it is opened.
 */
export const taskOf = (folder: string, graph: Pick<Graph, 'inputs' | 'outputs'>): Task => {
  if (!graph.inputs.includes(inputIds) && !hasTokenizer(resolve(folder))) return 'infer';
  return isEncoder(graph) ? 'embed' : 'generate';
};
