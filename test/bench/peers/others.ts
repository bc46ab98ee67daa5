import { createHash } from 'node:crypto';
import { copyFile, link, mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { openModelFolder, weightFilesOf } from '../../../src/runtime/engine/model/folder.ts';
import { readSettings } from '../../../src/runtime/engine/model/settings.ts';
import { familyOf } from '../../../src/runtime/engine/onnx/families.ts';
import { readGraph } from '../../../src/runtime/engine/onnx/graph.ts';
import { inject } from '../../../src/runtime/engine/onnx/inject.ts';
import { madeOnce, nodeLlamaCpp, run, script, smollmGguf } from './install.ts';
import type { PeerKind } from './peer.ts';
import { startPeerProcess } from './peer-process.ts';
import { genaiPython, ggufPython, torchPython, versions } from './pythons.ts';

const genaiConfigSchema = z.looseObject({
  model: z.looseObject({ decoder: z.looseObject({ session_options: z.looseObject({}) }) }),
});

/** GenAI's configuration of the model, for so many threads. All else is as its builder wrote it. */
const genaiConfig = async (modelDir: string, threads: number): Promise<string> => {
  const text = await readFile(join(modelDir, 'genai_config.json'), 'utf8');
  const config = genaiConfigSchema.parse(JSON.parse(text));
  const { decoder } = config.model;
  const session_options = { ...decoder.session_options, intra_op_num_threads: threads };
  return JSON.stringify({
    ...config,
    model: { ...config.model, decoder: { ...decoder, session_options, filename: 'model.onnx' } },
  });
};

/** The pages of a link are in memory once, however many programs map them. */
const linkOrCopy = (from: string, to: string): Promise<void> =>
  link(from, to).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EXDEV' && error.code !== 'EPERM') throw error;
    return copyFile(from, to);
  });

/** Our injected graph, or the exported one, in a folder with its weights; one folder per number of threads. */
const genaiFolder = async (
  modelDir: string,
  python: string,
  options: { readonly threads: number; readonly lora: boolean },
): Promise<string> => {
  const { threads, lora } = options;
  const model = openModelFolder(modelDir);
  const exported = readGraph(await readFile(model.graph));
  const weights = weightFilesOf(model, exported);
  const injected = lora ? inject(exported.model, familyOf(readSettings(model).modelType)) : undefined;
  const graph = injected?.model ?? exported.model;
  const hash = createHash('sha256').update(graph);
  if (lora) hash.update(await readFile(script('to_genai_graph.py')));
  const digest = hash.digest('hex').slice(0, 12);
  const folder = await madeOnce('genai-model', digest, async (made) => {
    for (const path of weights) await linkOrCopy(path, join(made, basename(path)));
    if (injected === undefined) return writeFile(join(made, 'model.onnx'), graph);
    const [source, sites] = [join(made, 'injected.onnx'), join(made, 'sites.json')];
    await writeFile(source, graph);
    await writeFile(sites, JSON.stringify(injected.sites));
    await run(python, [script('to_genai_graph.py'), source, sites, join(made, 'model.onnx')]);
  });
  // ONNX Runtime wants weights inside the folder; links cost nothing.
  const own = join(folder, `threads-${threads}`);
  await mkdir(own, { recursive: true });
  for (const name of ['model.onnx', ...weights.map((path) => basename(path))]) {
    await link(join(folder, name), join(own, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
  await writeFile(join(own, 'genai_config.json'), await genaiConfig(modelDir, threads));
  return own;
};

/**
 * ONNX Runtime GenAI. `lora`: on our injected graph, with adapters; else on the exported graph, its fastest way to
 * answer from the base model.
 */
export const genai = (modelDir: string, lora: boolean): PeerKind => ({
  name: lora ? 'genai' : 'genai-base',
  what: `onnxruntime-genai ${versions.genai}, onnxruntime ${versions.onnxruntime}, ${lora ? 'injected' : 'exported'} graph`,
  install: async () => {
    await genaiFolder(modelDir, await genaiPython(), { threads: 1, lora });
  },
  adapterFile: lora
    ? async (peftFolder, out) => {
        await run(await genaiPython(), [script('to_onnx_adapter.py'), peftFolder, `${out}.onnx_adapter`]);
        return `${out}.onnx_adapter`;
      }
    : undefined,
  start: async (threads) => {
    const python = await genaiPython();
    const folder = await genaiFolder(modelDir, python, { threads, lora });
    return startPeerProcess(python, [script('peer_genai.py'), folder], {
      env: { ORT_DISABLE_TELEMETRY: '1' },
    });
  },
});

const hfFolder = async (): Promise<string> => {
  const [python, gguf] = [await torchPython(), await smollmGguf()];
  return madeOnce('smollm2-float32', versions.transformers, (made) =>
    run(python, [script('gguf_to_folder.py'), gguf, made]),
  );
};

/** torch and PEFT in float32. */
export const peft = (): PeerKind => ({
  name: 'peft',
  what: `peft ${versions.peft}, transformers ${versions.transformers}, torch ${versions.torch}, float32`,
  install: async () => void (await hfFolder()),
  adapterFile: async (peftFolder) => peftFolder,
  start: async (threads) =>
    startPeerProcess(await torchPython(), [script('peer_peft.py'), await hfFolder(), String(threads)], {
      together: true,
    }),
});

/** A model of llama.cpp. */
export type GgufModel = {
  /** config.json of the model that it was made of. */
  readonly configFile: string;
  /** How its weights are quantised. */
  readonly weights: string;
  /** Tokens of prompt and answer. */
  readonly contextSize: number;
  readonly file: () => Promise<string>;
};

/** llama.cpp through node-llama-cpp. */
export const llama = ({ configFile, weights, contextSize, file }: GgufModel): PeerKind => ({
  name: 'llama',
  what: `node-llama-cpp ${versions.nodeLlamaCpp}, GGUF ${weights}`,
  install: async () => {
    await nodeLlamaCpp(versions.nodeLlamaCpp);
    await file();
    await ggufPython();
  },
  adapterFile: async (peftFolder, out) => {
    await run(await ggufPython(), [script('to_gguf_adapter.py'), peftFolder, `${out}.gguf`, configFile]);
    return `${out}.gguf`;
  },
  start: async (threads) => {
    const entry = await nodeLlamaCpp(versions.nodeLlamaCpp);
    const args = [script('peer-llama.ts'), entry, await file(), String(threads), String(contextSize)];
    return startPeerProcess(process.execPath, args);
  },
});
