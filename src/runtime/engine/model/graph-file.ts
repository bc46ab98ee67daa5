import { existsSync, readdirSync } from 'node:fs';
import { isAbsolute, join, normalize, resolve, sep } from 'node:path';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';

/** The graph that is taken where a model has several and nobody names one. */
export const graphName = 'model.onnx';
/** The folder of a model on a hub in which its graphs lie. */
const graphsFolder = 'onnx';

export const isGraph = (name: string): boolean => name.endsWith('.onnx');
const lastPart = (name: string): string => name.slice(name.lastIndexOf('/') + 1);

/** Files of a model by their endings, and what to do with them. */
const otherFormats: readonly { readonly ending: RegExp; readonly advice: string }[] = [
  {
    ending: /\.gguf$/,
    advice:
      'GGUF is the format of llama.cpp. Take the ONNX files of the model, or export it from its safetensors',
  },
  {
    ending: /\.(safetensors|bin|pt|pth)$/,
    advice:
      'These are weights of PyTorch: export them with the model builder of ONNX Runtime GenAI or optimum',
  },
];
export const howTo = 'docs/how-to/bring-your-base-model.md';

const adviceWithoutGraph = (files: readonly string[]): string => {
  const found = otherFormats.find(({ ending }) => files.some((name) => ending.test(name)));
  return found === undefined
    ? `Name the folder with the ONNX file; ${howTo} says how to get one.`
    : `${found.advice}: ${howTo}.`;
};

/** Endings of names by which graphs are known that are served on any processor, the smallest first. */
const served: readonly RegExp[] = [
  /(_q4|_int4)\.onnx$/,
  /_q4f16\.onnx$/,
  /(^|\/)model\.onnx$/,
  /_(fp32|fp16)\.onnx$/,
];

/** Of several graphs the one to take, as far as names tell. */
export const suggestedOf = (graphs: readonly string[]): string | undefined =>
  served.flatMap((ending) => graphs.filter((name) => ending.test(name)))[0];

/** Optimum up to 1.x wrote a decoder as a graph for prompts, one for what follows, and both in one. */
const oldDecoder = /(^|\/)decoder_(with_past_)?model/;
export const exportAgain = `Export it as one graph with keys and values, by ONNX Runtime GenAI's model builder or a newer optimum: ${howTo}.`;

const adviceToName = (graphs: readonly string[]): string => {
  const suggested = suggestedOf(graphs);
  return `Name the one to take with --model-file${suggested === undefined ? '' : `, such as --model-file ${suggested}`}.`;
};

/** The graph that someone named, as a path below the model's folder. */
const checkedName = (file: string): string => {
  const name = normalize(file).split(sep).join('/');
  if (!isAbsolute(file) && !name.split('/').includes('..') && isGraph(name)) return name;
  throw new AdaptletError(
    'CONFIG_INVALID',
    `--model-file ${quoteUntrusted(file)} is no ONNX file below the folder of the model`,
    { advice: 'Name one as it lies there, such as onnx/model_q4.onnx.' },
  );
};

/** The graph of a model, a path relative to its folder, and why it is taken. */
export type GraphChoice = {
  readonly file: string;
  readonly reason: 'named' | 'only' | 'model.onnx';
  /** The model's other graphs. */
  readonly others: readonly string[];
};

/**
 * Which of the files of a model is its graph: the one that is named; else model.onnx, or the only one.
 * @param files paths relative to the model's folder, with slashes
 * @throws MODEL_FILE_MISSING where there is none; MODEL_INVALID where there are several; CONFIG_INVALID for a name outside
 */
export const chooseGraph = (
  files: readonly string[],
  { where, file }: { readonly where: string; readonly file?: string | undefined },
): GraphChoice => {
  const graphs = files.filter(isGraph).toSorted();
  const choice = (chosen: string, reason: GraphChoice['reason']): GraphChoice => ({
    file: chosen,
    reason,
    others: graphs.filter((name) => name !== chosen),
  });
  if (file !== undefined) {
    const name = checkedName(file);
    if (graphs.includes(name)) return choice(name, 'named');
    const there = graphs.length === 0 ? 'it has no ONNX file' : `its ONNX files are ${graphs.join(', ')}`;
    throw new AdaptletError('MODEL_FILE_MISSING', `${name} is not in ${where}; ${there}`, {
      advice: 'Name one that is there with --model-file, or copy it there.',
    });
  }
  const [only, ...more] = graphs;
  if (only === undefined) {
    throw new AdaptletError('MODEL_FILE_MISSING', `${graphName} is not in ${where}, nor another ONNX file`, {
      advice: adviceWithoutGraph(files),
    });
  }
  if (more.length === 0) return choice(only, 'only');
  if (graphs.includes(graphName)) return choice(graphName, graphName);
  const [named, ...alike] = graphs.filter((name) => lastPart(name) === graphName);
  if (named !== undefined && alike.length === 0) return choice(named, graphName);
  throw new AdaptletError('MODEL_INVALID', `${where} has several ONNX files: ${graphs.join(', ')}`, {
    advice: graphs.some((name) => oldDecoder.test(name)) ? exportAgain : adviceToName(graphs),
  });
};

const filesIn = (folder: string): readonly string[] =>
  existsSync(folder)
    ? readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
        entry.isDirectory() ? [] : [entry.name],
      )
    : [];

/**
 * {@link chooseGraph} of the files in a folder and in `onnx/` below it, where hubs have them; one that is named may lie deeper.
 * @throws as it does
 */
export const chooseGraphIn = (folder: string, file?: string): GraphChoice => {
  const root = resolve(folder);
  const found = [
    ...filesIn(root),
    ...filesIn(join(root, graphsFolder)).map((name) => `${graphsFolder}/${name}`),
  ];
  const deeper = file === undefined ? [] : [checkedName(file)].filter((name) => !found.includes(name));
  const files = [...found, ...deeper.filter((name) => existsSync(join(root, name)))];
  return chooseGraph(files, { where: root, file });
};

/**
 * The graph of the base model in a folder, as an absolute path.
 * @throws as {@link chooseGraph}
 */
export const findGraph = (folder: string, file?: string): string =>
  join(resolve(folder), chooseGraphIn(folder, file).file);
