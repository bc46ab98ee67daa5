import { join } from 'node:path';
import type { EngineInfo } from '../../src/runtime/engine/engine.ts';
import { smollm } from '../support/models.ts';
import { tiny } from '../support/node.ts';
import { type SyntheticAdapter, writeSyntheticAdapter } from '../support/synthetic-adapter.ts';

/** A base model to soak, with adapters that all answer in another way. */
export type SoakModel = {
  readonly name: string;
  readonly modelDir: string;
  /** Trained adapters, PEFT folders. */
  readonly trained: readonly string[];
  /** Size of random weights at rank 1: so strong that texts change, so weak that they are not all the same. */
  readonly strength: number;
  /** Largest distance of a near tie, in nats of the difference of two logits; measured, see CONTRIBUTING.md. */
  readonly epsilon: number;
  /** Where the native operator's products and attention serve, a token has the same bits whatever a step computes beside it: there are no near ties. */
  readonly sameBits: boolean;
  /** Prompts are random tokens from here on; those before are special. */
  readonly firstId: number;
  readonly endIds: readonly number[];
  readonly longestPrompt: number;
  readonly longestAnswer: number;
  /** What a slow reader asks for: more tokens than may be on their way to a reader who takes none. */
  readonly longestSlowAnswer: number;
  /** Requests per second while traffic is even; bursts are a multiple of it. */
  readonly evenRate: number;
  /** Holds all adapters at the same time. */
  readonly memoryBytes: number;
  /** For keys and values in the engine under test: fewer than 8 long requests need. */
  readonly kvBudgetBytes: number;
  /** The least memory for adapters that an engine has holds all of these: part of it has to be taken first. */
  readonly crowded: boolean;
};

const tinyModel: SoakModel = {
  name: 'tiny fp32',
  modelDir: tiny.model,
  trained: ['upper', 'reverse', 'digits', 'hello'].map((name) => join(tiny.adapters, name)),
  strength: 1.1,
  epsilon: 1e-3,
  // ONNX Runtime's products in float32 round one row otherwise than several.
  sameBits: false,
  firstId: 3,
  endIds: [2],
  // Its context is 256: some of these do not fit, and must be refused.
  longestPrompt: 300,
  longestAnswer: 60,
  longestSlowAnswer: 120,
  evenRate: 40,
  memoryBytes: 32 << 20,
  kvBudgetBytes: 704 << 10,
  crowded: true,
};

const smollmModel = (): SoakModel => {
  const real = smollm();
  if (real === undefined) throw new Error('SmolLM2 is neither in ADAPTLET_MODELS nor in ../shared/models');
  const names = ['json-extract-v1', 'json-extract-v2', 'json-extract-v3-regressed', 'pirate'];
  return {
    name: 'SmolLM2-135M int4',
    modelDir: real.modelDir,
    trained: names.map((name) => join(real.adapters, name)),
    strength: 0.3,
    epsilon: 0.5,
    sameBits: true,
    firstId: 17,
    endIds: [2],
    longestPrompt: 200,
    longestAnswer: 30,
    longestSlowAnswer: 80,
    evenRate: 0.5,
    memoryBytes: 1 << 30,
    kvBudgetBytes: 40 << 20,
    crowded: false,
  };
};

/** Largest distance of a near tie on an engine that is ready; 0: every other token is a failure. */
export const epsilonOf = (
  { epsilon, sameBits }: Pick<SoakModel, 'epsilon' | 'sameBits'>,
  { native }: Pick<EngineInfo, 'native'>,
): number => (sameBits && native?.attention === true && native.linears ? 0 : epsilon);

/**
 * By the name on the command line.
 * @throws there is none such, or its files are not on this machine
 */
export const soakModel = (name: string): SoakModel => {
  if (name === 'tiny') return tinyModel;
  if (name === 'smollm') return smollmModel();
  throw new Error(`there is no model ${name}: tiny or smollm`);
};

/** Ranks that share no padded size, and modules that need different graphs. */
const synthetic: readonly SyntheticAdapter[] = [
  { rank: 1 },
  { rank: 2, modules: ['q_proj', 'v_proj'] },
  { rank: 3, modules: ['o_proj'] },
  { rank: 4, modules: ['gate_proj', 'up_proj', 'down_proj'] },
  { rank: 5 },
  { rank: 8, modules: ['q_proj', 'k_proj', 'v_proj', 'o_proj'] },
  { rank: 8, modules: ['down_proj'] },
  { rank: 12, modules: ['q_proj', 'v_proj'] },
  { rank: 16 },
  { rank: 17, modules: ['up_proj'] },
  { rank: 24, modules: ['v_proj', 'gate_proj'] },
  { rank: 32 },
];

/** PEFT folders by name: the trained adapters, and synthetic ones that are written into `folder`. */
export const adapterFolders = async (
  { modelDir, trained, strength }: SoakModel,
  folder: string,
): Promise<ReadonlyMap<string, string>> => {
  const folders = new Map(trained.map((path) => [path.split('/').at(-1) ?? path, path]));
  for (const [index, adapter] of synthetic.entries()) {
    const name = `r${adapter.rank}-${adapter.modules?.map((module) => module.split('_')[0]).join('-') ?? 'all'}`;
    const path = join(folder, name);
    // The product of both halves grows with the root of the rank; fewer modules need more of it.
    const share = adapter.modules === undefined ? 1 : 1.6;
    const scale = (strength * share) / adapter.rank ** 0.25;
    await writeSyntheticAdapter(path, join(modelDir, '../config.json'), {
      ...adapter,
      seed: index + 1,
      scale,
    });
    folders.set(name, path);
  }
  return folders;
};
