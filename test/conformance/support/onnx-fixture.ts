import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Site } from '../../../src/runtime/compiled/compile-target.ts';
import { linearFusions } from '../../../src/runtime/engine/onnx/linear-fusions.ts';
import { inputOf } from '../../../src/runtime/engine/onnx/lora-nodes.ts';
import { seededRandom } from '../../../src/runtime/engine/random.ts';

export type Level = 'all' | 'disabled';

/** `optimised`: where the graph as the optimiser leaves it is written to. */
export const openGraph = async (graph: Buffer, level: Level, optimised?: string): Promise<InferenceSession> =>
  await InferenceSession.create(graph, {
    graphOptimizationLevel: level,
    intraOpNumThreads: 1,
    logSeverityLevel: 3,
    extra: { optimization: { disable_specified_optimizers: linearFusions } },
    ...(optimised !== undefined && { optimizedModelFilePath: optimised }),
  });

/** A and B of some modules, by graph input. */
export type Adapter = ReadonlyMap<string, Tensor>;

/** A seeded adapter with another rank for each module, large enough to move every output. */
export const someAdapter = (sites: readonly Site[]): Adapter => {
  const random = seededRandom(7);
  const values = (count: number): Float32Array => Float32Array.from({ length: count }, () => random() - 0.5);
  const tensors = new Map<string, Tensor>();
  for (const [index, { module, inFeatures, outFeatures }] of sites.entries()) {
    const rank = 1 + (index % 3);
    tensors.set(inputOf(module, 'A'), new Tensor('float32', values(rank * inFeatures), [rank, inFeatures]));
    tensors.set(inputOf(module, 'B'), new Tensor('float32', values(rank * outFeatures), [rank, outFeatures]));
  }
  return tensors;
};

/** The part of an adapter that is for one module. */
export const onlyModule = (adapter: Adapter, module: string): Adapter =>
  new Map([...adapter].filter(([name]) => name === inputOf(module, 'A') || name === inputOf(module, 'B')));

type Feeds = Record<string, Tensor>;

/** Rank 0 for each module that the adapter leaves out. */
export const loraFeeds = (sites: readonly Site[], adapter: Adapter): Feeds => {
  const feeds: Feeds = {};
  for (const { module, inFeatures, outFeatures } of sites) {
    const [a, b] = [inputOf(module, 'A'), inputOf(module, 'B')];
    feeds[a] = adapter.get(a) ?? new Tensor('float32', new Float32Array(0), [0, inFeatures]);
    feeds[b] = adapter.get(b) ?? new Tensor('float32', new Float32Array(0), [0, outFeatures]);
  }
  return feeds;
};

const integers = (values: readonly number[], dims: readonly number[]): Tensor =>
  new Tensor('int64', BigInt64Array.from(values, BigInt), dims);

const stepFeeds = (session: InferenceSession, ids: readonly number[], past: number): Feeds => {
  const shape = [1, ids.length];
  const all: Feeds = {
    input_ids: integers(ids, shape),
    attention_mask: integers(
      Array.from({ length: past + ids.length }, () => 1),
      [1, past + ids.length],
    ),
    token_type_ids: integers(
      ids.map((_, index) => index % 2),
      shape,
    ),
    position_ids: integers(
      ids.map((_, index) => past + index),
      shape,
    ),
    logits_rows: integers([...ids.keys()], [ids.length]),
  };
  return Object.fromEntries(Object.entries(all).filter(([name]) => session.inputNames.includes(name)));
};

const emptyPast = (session: InferenceSession): Feeds => {
  const feeds: Feeds = {};
  for (const input of session.inputMetadata) {
    if (!input.isTensor || !input.name.startsWith('past_key_values.')) continue;
    const [, heads, , size] = input.shape;
    feeds[input.name] = new Tensor('float32', new Float32Array(0), [1, Number(heads), 0, Number(size)]);
  }
  return feeds;
};

const isFloats = (value: unknown): value is Float32Array => value instanceof Float32Array;

const floatsOf = (tensor: Tensor): Float32Array => {
  if (isFloats(tensor.data)) return tensor.data;
  throw new Error(`a graph answers ${tensor.type}`);
};

const prompt = [3, 5, 7, 11, 2];
export const promptLength = prompt.length;

export const wantedRows = (rows: readonly number[]): Feeds => ({
  logits_rows: integers(rows, [rows.length]),
});

/** Outputs by name; of a decoder, of a prompt (`logits`) and of the token after it (`next.logits`). */
export const answer = async (
  session: InferenceSession,
  lora: Feeds = {},
  further: Feeds = {},
): Promise<Readonly<Record<string, Float32Array>>> => {
  const past = emptyPast(session);
  const outputs = await session.run({ ...stepFeeds(session, prompt, 0), ...past, ...lora, ...further });
  const answers = Object.fromEntries(
    Object.entries(outputs).map(([name, tensor]) => [name, floatsOf(tensor)]),
  );
  if (Object.keys(past).length === 0) return answers;
  const presents = Object.keys(past).map((name) => [
    name,
    outputs[name.replace('past_key_values', 'present')],
  ]);
  const feeds = { ...stepFeeds(session, [4], prompt.length), ...Object.fromEntries(presents), ...lora };
  const next = await session.run(feeds);
  for (const [name, tensor] of Object.entries(next)) answers[`next.${name}`] = floatsOf(tensor);
  return answers;
};

/** What callers see: keys and values aside. */
export const isAnswer = (name: string): boolean => !name.includes('present.');

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

export const sameBits = (a: Float32Array, b: Float32Array): boolean => bytesOf(a).equals(bytesOf(b));

/** Largest difference; infinite when the lengths differ or a value is not finite. */
export const distance = (a: Float32Array, b: Float32Array): number => {
  if (a.length !== b.length || a.length === 0) return Infinity;
  return a.reduce((most, value, index) => {
    const difference = Math.abs(value - (b[index] ?? NaN));
    return Number.isFinite(difference) ? Math.max(most, difference) : Infinity;
  }, 0);
};
