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

/** A rank-1 adapter for one site that moves its output about as much as its input is large. */
const perturbation = (site: Site, memory: NativeMemory, random: () => number): LoraTensors => {
  const { inFeatures, outFeatures, module } = site;
  const values = new Float32Array(memory.buffer, 0, inFeatures + outFeatures);
  const size = (index: number): number => (index < inFeatures ? 1 / Math.sqrt(inFeatures) : 1);
  for (const index of values.keys()) values[index] = random() < 0.5 ? -size(index) : size(index);
  const b = memory.address + BigInt(inFeatures * Float32Array.BYTES_PER_ELEMENT);
  return new Map([
    [inputOf(module, 'A'), new OrtTensor('float32', [1, inFeatures], memory.address)],
    [inputOf(module, 'B'), new OrtTensor('float32', [outFeatures, 1], b)],
  ]);
};

const logitsWith = async (session: GraphSession, lora: LoraTensors): Promise<Float32Array> => {
  const feeds = session.feeds(lora);
  try {
    return await session.logitsOf(feeds, ids, [ids.length - 1]);
  } finally {
    feeds.release();
  }
};

/** Modules whose LoRA inputs do not reach the logits. */
export const unwiredModules = async (session: GraphSession): Promise<readonly string[]> => {
  const random = seededRandom(1);
  const base = await logitsWith(session, new Map());
  const unwired: string[] = [];
  const largest = Math.max(0, ...session.sites.map((site) => site.inFeatures + site.outFeatures));
  const memory = new NativeMemory(largest * Float32Array.BYTES_PER_ELEMENT);
  for (const site of session.sites) {
    const moved = await logitsWith(session, perturbation(site, memory, random));
    const changed = moved.some((value, index) => Number.isFinite(value) && value !== base[index]);
    if (!changed) unwired.push(site.module);
  }
  memory.free();
  return unwired;
};

/**
 * Proves once per graph that each LoRA input alone changes the logits. The verdict is kept in `cacheDir`.
 * Errors: MODEL_WIRING_BROKEN.
 */
export const proveWiring = async (
  session: GraphSession,
  graphDigest: string,
  cacheDir: string,
): Promise<void> => {
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
