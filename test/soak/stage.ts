import { join } from 'node:path';
import type { Digest } from '../../src/api/names.ts';
import { compileAdapter } from '../../src/runtime/adapter/compile.ts';
import type { EngineClient, EngineOptions } from '../../src/runtime/engine/client/client.ts';
import { systemClock } from '../../src/time/clock.ts';
import type { Seeded } from '../support/random.ts';
import { startReadyEngine } from '../support/ready-engine.ts';
import { adapterFolders, type SoakModel } from './models.ts';
import type { Reference } from './reference.ts';

/** Requests that run at a time in the engine under test, and that wait in it. */
const places = 8;
const queue = 16;

const quiet = (): void => undefined;

/** An engine process of the model that is ready; both of a soak share what they prepare in `folder`. */
export const startFor = (
  { modelDir }: SoakModel,
  folder: string,
  own: Pick<EngineOptions, 'adapterBudgetBytes' | 'kvBudgetBytes' | 'maxDecodeStallMs'>,
): Promise<EngineClient> =>
  startReadyEngine({
    modelDir,
    cacheDir: join(folder, 'cache'),
    threads: 1,
    maxConcurrent: places,
    maxQueue: queue,
    clock: systemClock,
    stallTimeoutMs: 60_000,
    logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    ...own,
  });

/** The adapters of a soak as compiled files, and what is known of them. */
export type Adapters = {
  readonly files: ReadonlyMap<string, string>;
  /** Bytes in memory of all of them. */
  readonly ramBytes: number;
  /** What the probe of each finds on a quiet engine. */
  readonly probes: ReadonlyMap<string, number>;
};

/** Compiles all adapters and loads them into the reference's engine. */
export const loadAll = async (model: SoakModel, engine: EngineClient, folder: string): Promise<Adapters> => {
  const files = new Map<string, string>();
  const probes = new Map<string, number>();
  let ramBytes = 0;
  for (const [name, from] of await adapterFolders(model, join(folder, 'adapters'))) {
    const compiled = await compileAdapter({
      folder: from,
      digest: `sha256:${'a'.repeat(64)}` as Digest,
      target: engine.info(),
      outFile: join(folder, `${name}.bin`),
      maxRank: 256,
    });
    await engine.load(name, compiled.file);
    files.set(name, compiled.file);
    probes.set(name, (await engine.probe(name)).maxDifference);
    ramBytes += compiled.ramBytes;
  }
  return { files, ramBytes, probes };
};

/**
 * A soak proves nothing if adapters give the same answers: every two of them, and the base, must differ.
 * Gives the share of different answers among all pairs and prompts.
 * @throws Error that names two that are alike
 */
export const proveDifferent = async (
  model: SoakModel,
  reference: Reference,
  { names, random, vocabSize }: { names: readonly string[]; random: Seeded; vocabSize: number },
): Promise<number> => {
  const logitBias = model.endIds.map((id) => [id, -100] as const);
  const sampling = { temperature: 0, topK: 0, topP: 1, logitBias };
  const texts = new Map<string, string[]>([
    ['base', []],
    ...names.map((name) => [name, []] as [string, string[]]),
  ]);
  for (let prompt = 0; prompt < 4; prompt += 1) {
    const token = (): number => Math.floor(random.between(model.firstId, vocabSize));
    const promptIds = Array.from({ length: 4 + prompt * 8 }, token);
    for (const [name, given] of texts) {
      const { ids } = await reference.answer(
        { adapter: name === 'base' ? null : name, promptIds, sampling },
        24,
      );
      given.push(ids.join(' '));
    }
  }
  let [pairs, different] = [0, 0];
  const all = [...texts];
  for (const [index, [name, given]] of all.entries()) {
    for (const [other, theirs] of all.slice(0, index)) {
      const differ = given.filter((text, prompt) => text !== theirs[prompt]).length;
      if (differ === 0) throw new Error(`${name} and ${other} give the same answers`);
      pairs += given.length;
      different += differ;
    }
  }
  return different / pairs;
};
