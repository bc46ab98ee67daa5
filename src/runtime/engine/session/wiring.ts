import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Tensor } from 'onnxruntime-node';
import { writeDurable } from '../../../disk/durable.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Site } from '../engine.ts';
import { inputOf } from '../onnx/inject.ts';
import { seededRandom } from '../random.ts';
import type { GraphSession, LoraTensors } from './graph-session.ts';

/** Several tokens: with one, attention does not depend on queries and keys. */
const ids = [3, 5, 7, 11];

/** A rank-1 adapter for one site that moves its output about as much as its input is large. */
const perturbation = (site: Site, random: () => number): LoraTensors => {
  const signs = (count: number, size: number): Float32Array =>
    Float32Array.from({ length: count }, () => (random() < 0.5 ? -size : size));
  const { inFeatures, outFeatures, module } = site;
  const a = new Tensor('float32', signs(inFeatures, 1 / Math.sqrt(inFeatures)), [1, inFeatures]);
  const b = new Tensor('float32', signs(outFeatures, 1), [outFeatures, 1]);
  return new Map([
    [inputOf(module, 'A'), a],
    [inputOf(module, 'B'), b],
  ]);
};

const logitsWith = async (session: GraphSession, lora: LoraTensors): Promise<Float32Array> => {
  const result = await session.run(session.feeds(lora), ids, session.emptyCache(), [ids.length - 1]);
  return result.logits;
};

/** Modules whose LoRA inputs do not reach the logits. */
export const unwiredModules = async (session: GraphSession): Promise<readonly string[]> => {
  const random = seededRandom(1);
  const base = await logitsWith(session, new Map());
  const unwired: string[] = [];
  for (const site of session.sites) {
    const moved = await logitsWith(session, perturbation(site, random));
    const changed = moved.some((value, index) => Number.isFinite(value) && value !== base[index]);
    if (!changed) unwired.push(site.module);
  }
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
