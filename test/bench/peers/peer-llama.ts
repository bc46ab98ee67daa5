/**
 * llama.cpp through node-llama-cpp as a peer: `node peer-llama.ts ENTRY_OF_NODE_LLAMA_CPP MODEL.gguf THREADS CONTEXT`. Adapters are
 * GGUF files; each gets a context of its own, since the package sets an adapter per context. Speaks as protocol.py does.
 */
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

/** What is used of node-llama-cpp, which is no dependency of this repository. */
type LlamaSequence = {
  clearHistory(): Promise<void>;
  evaluate(tokens: readonly number[], options: object): AsyncIterable<number>;
};
type LlamaContext = { getSequence(): LlamaSequence; dispose(): Promise<void> };
type LlamaModel = { createContext(options: object): Promise<LlamaContext> };
type LlamaPackage = {
  getLlama(options: object): Promise<{ loadModel(options: object): Promise<LlamaModel> }>;
};
type Question =
  | { readonly do: 'load'; readonly name: string; readonly file: string }
  | { readonly do: 'unload'; readonly name: string }
  | {
      readonly do: 'generate';
      readonly adapter: string | null;
      readonly ids: number[];
      readonly tokens: number;
    };

/** Tokens of a prompt that are computed at a time. */
const maxBatch = 512;
const [, , entry = '', modelPath = '', threadsText = '1', contextText = '512'] = process.argv;
const [threads, contextSize] = [Number(threadsText), Number(contextText)];
const say = (answer: object): void => void process.stdout.write(`${JSON.stringify(answer)}\n`);

const started = performance.now();
const nodeLlamaCpp = (await import(pathToFileURL(entry).href)) as LlamaPackage;
const llama = await nodeLlamaCpp.getLlama({
  gpu: false,
  build: 'never',
  maxThreads: threads,
  logLevel: 'error',
});
const model = await llama.loadModel({ modelPath, useMmap: true });

const open = async (file?: string): Promise<{ context: LlamaContext; sequence: LlamaSequence }> => {
  const lora = file === undefined ? {} : { lora: { adapters: [{ filePath: file, scale: 1 }] } };
  const batchSize = Math.min(contextSize, maxBatch);
  const context = await model.createContext({ contextSize, batchSize, threads, ...lora });
  return { context, sequence: context.getSequence() };
};

const base = await open();
const adapters = new Map<string, Awaited<ReturnType<typeof open>>>();

const nextToken = async (sequence: LlamaSequence, tokens: readonly number[]): Promise<number> => {
  for await (const token of sequence.evaluate(tokens, { temperature: 0, yieldEogToken: true })) return token;
  throw new Error('no token came');
};

const generate = async (adapter: string | null, ids: readonly number[], tokens: number): Promise<object> => {
  const { sequence } = (adapter === null ? base : adapters.get(adapter)) ?? base;
  await sequence.clearHistory();
  const begun = performance.now();
  const [atMs, answer]: [number[], number[]] = [[], []];
  let step = ids;
  while (answer.length < tokens) {
    const token = await nextToken(sequence, step);
    atMs.push(performance.now() - begun);
    answer.push(token);
    step = [token];
  }
  return { atMs, ids: answer };
};

const timed = async (work: () => Promise<unknown>): Promise<object> => {
  const begun = performance.now();
  await work();
  return { ms: performance.now() - begun };
};

const answer = async (question: Question): Promise<object> => {
  switch (question.do) {
    case 'load':
      return timed(async () => adapters.set(question.name, await open(question.file)));
    case 'unload':
      return timed(async () => {
        await adapters.get(question.name)?.context.dispose();
        adapters.delete(question.name);
      });
    case 'generate':
      return generate(question.adapter, question.ids, question.tokens);
  }
};

say({ ms: performance.now() - started });
for await (const line of createInterface({ input: process.stdin }))
  say(await answer(JSON.parse(line) as Question));
process.exit(0);
