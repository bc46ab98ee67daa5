import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeDurable } from '../../../disk/durable.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Site } from '../engine.ts';
import { inputOf } from '../onnx/inject.ts';
import { NativeMemory } from '../ort/memory.ts';
import { OrtTensor } from '../ort/tensor.ts';
import { seededRandom } from '../random.ts';
import type { LoraTensors } from './feeds.ts';
import type { GraphSession } from './graph-session.ts';

/** Several tokens: with one, attention does not depend on queries and keys. */
const ids = [3, 5, 7, 11];

/** What has LoRA inputs and answers by numbers. */
type Wired = Pick<GraphSession, 'sites' | 'feeds' | 'logitsOf'>;

const elementsOf = ({ inFeatures, outFeatures }: Site): number => inFeatures + outFeatures;

/** A rank-1 adapter for one site that moves its output about as much as its input is large. It begins at `from` of the memory. */
const perturbation = (site: Site, memory: NativeMemory, from: number, random: () => number): LoraTensors => {
  const { inFeatures, outFeatures, module } = site;
  const bytes = Float32Array.BYTES_PER_ELEMENT;
  const values = new Float32Array(memory.buffer, from * bytes, elementsOf(site));
  const size = (index: number): number => (index < inFeatures ? 1 / Math.sqrt(inFeatures) : 1);
  for (const index of values.keys()) values[index] = random() < 0.5 ? -size(index) : size(index);
  const a = memory.address + BigInt(from * bytes);
  const b = a + BigInt(inFeatures * bytes);
  return new Map([
    [inputOf(module, 'A'), new OrtTensor('float32', [1, inFeatures], a)],
    [inputOf(module, 'B'), new OrtTensor('float32', [1, outFeatures], b)],
  ]);
};

const logitsWith = async (session: Wired, lora: LoraTensors): Promise<Float32Array> => {
  const feeds = session.feeds(lora);
  try {
    return await session.logitsOf(feeds, ids, [ids.length - 1]);
  } finally {
    feeds.release();
  }
};

/** Modules whose LoRA inputs do not reach the logits. */
export const unwiredModules = async (session: Wired): Promise<readonly string[]> => {
  const random = seededRandom(1);
  const base = await logitsWith(session, new Map());
  const unwired: string[] = [];
  const largest = Math.max(0, ...session.sites.map(elementsOf));
  const memory = new NativeMemory(largest * Float32Array.BYTES_PER_ELEMENT);
  for (const site of session.sites) {
    const moved = await logitsWith(session, perturbation(site, memory, 0, random));
    const changed = moved.some((value, index) => Number.isFinite(value) && value !== base[index]);
    if (!changed) unwired.push(site.module);
  }
  memory.free();
  return unwired;
};

/** True when an adapter with another perturbation at each site of `part` gives the same logits on both, bit for bit. */
export const sameAnswers = async (part: GraphSession, whole: GraphSession): Promise<boolean> => {
  const elements = part.sites.reduce((sum, site) => sum + elementsOf(site), 0);
  const memory = new NativeMemory(elements * Float32Array.BYTES_PER_ELEMENT);
  const adapter = (): LoraTensors => {
    const random = seededRandom(2);
    let from = 0;
    const tensors = part.sites.flatMap((site) => {
      const pair = [...perturbation(site, memory, from, random)];
      from += elementsOf(site);
      return pair;
    });
    return new Map(tensors);
  };
  try {
    const [expected, base, got] = [
      await logitsWith(whole, adapter()),
      await logitsWith(whole, new Map()),
      await logitsWith(part, adapter()),
    ];
    return (
      got.every((value, index) => Number.isFinite(value) && value === expected[index]) &&
      got.some((value, index) => value !== base[index])
    );
  } finally {
    memory.free();
  }
};

/**
 * Proves once per graph that each LoRA input alone changes the logits. The verdict is kept in `cacheDir`.
 * Errors: MODEL_WIRING_BROKEN.
 */
export const proveWiring = async (session: Wired, graphDigest: string, cacheDir: string): Promise<void> => {
  const verdict = join(cacheDir, 'wiring', graphDigest);
  if (existsSync(verdict)) return;
  const unwired = await unwiredModules(session);
  if (unwired.length > 0) {
    throw new AdaptletError(
      'MODEL_WIRING_BROKEN',
      `${unwired.length} of ${session.sites.length} linears ignore their adapter: ${unwired.slice(0, 5).join(', ')}`,
    );
  }
  await writeDurable(verdict, 'every linear answers to its adapter\n');
};
