import { z } from 'zod';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';
import {
  checkRank,
  type Fields,
  type Kind,
  type MadePair,
  type ModuleTensors,
  sameRank,
  sizeOf,
  tensorOf,
} from './kind.ts';

/** Defaults as in peft/tuners/adalora/config.py. */
const schema = z.looseObject({
  init_r: z.int().min(1).default(12),
  lora_alpha: z.number().default(8),
  /** Which of the first ranks were kept, by the name of the tensor of factors. */
  rank_pattern: z.record(z.string(), z.array(z.boolean())).nullish(),
});

const invalid = (what: string): AdaptletError =>
  new AdaptletError('ADAPTER_CONFIG_INVALID', `adapter_config.json: ${what}`);

const settingsOf = (fields: Fields): z.infer<typeof schema> => {
  const parsed = schema.safeParse(fields);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalid(`${quoteUntrusted(issue?.path.join('.') ?? '')}: ${issue?.message ?? 'not valid'}`);
};

/** What is set for LoRA, and has no meaning in AdaLoRA; PEFT ignores it. */
const ignored = ['r', 'use_rslora', 'alpha_pattern', 'rank_pattern', 'lora_alpha'];
const ofTraining = [
  'beta1',
  'beta2',
  'deltaT',
  'init_r',
  'orth_reg_weight',
  'target_r',
  'tfinal',
  'tinit',
  'total_step',
];

/** `MODULE.lora_E`, of some versions with the name of the adapter behind it. */
const moduleOfPattern = (name: string): string => name.replace(/\.lora_E(?:\.default)?$/, '');

const keptRanks = (
  pattern: Readonly<Record<string, readonly boolean[]>>,
  initial: number,
): ReadonlyMap<string, number> =>
  new Map(
    Object.entries(pattern).map(([name, mask]) => {
      if (mask.length !== initial)
        throw invalid(
          `rank_pattern has ${mask.length} ranks for ${quoteUntrusted(name)}, init_r is ${initial}`,
        );
      return [moduleOfPattern(name), mask.filter(Boolean).length];
    }),
  );

const pairOf = (tensors: ModuleTensors, scale: number): MadePair | undefined => {
  const [a, e, b] = ['lora_A', 'lora_E', 'lora_B'].map((name) => tensorOf(tensors, name));
  if (a === undefined || e === undefined || b === undefined) return undefined;
  const [ranksOfA, inFeatures] = sizeOf(a);
  const [outFeatures, ranksOfB] = sizeOf(b);
  const [ranksOfE, each] = sizeOf(e);
  const rank = sameRank(tensors.module, { lora_A: ranksOfA, lora_B: ranksOfB, lora_E: ranksOfE * each });
  if (rank === 0) return undefined;
  return {
    rank,
    inFeatures,
    outFeatures,
    scale,
    why: '',
    make: (valuesOf) => {
      const factors = valuesOf(e);
      const values = valuesOf(a).map((value, at) => value * (factors[Math.floor(at / inFeatures)] ?? 0));
      return { a: values, b: valuesOf(b) };
    },
  };
};

/**
 * AdaLoRA (arXiv:2303.10512): B · diag(E) · A, ranks of which training has taken away. PEFT divides by the first rank and 0.00001, also
 * where fewer ranks are left.
 */
export const adalora: Kind = {
  tensors: new Set(['lora_A', 'lora_B', 'lora_E']),
  loraFields: (fields) => {
    const { init_r: r } = settingsOf(fields);
    for (const field of ['use_dora', 'lora_bias', 'use_qalora', 'use_bdlora']) {
      const value = fields[field];
      if (value !== null && value !== undefined && value !== false)
        throw invalid(`AdaLoRA has no ${field}, which is on`);
    }
    const own = new Set([...ignored, ...ofTraining, 'peft_type']);
    const kept = Object.fromEntries(Object.entries(fields).filter(([field]) => !own.has(field)));
    return { ...kept, peft_type: 'LORA', r };
  },
  pairsOf: (fields, _config, modules) => {
    const { init_r: initial, lora_alpha: alpha, rank_pattern: pattern } = settingsOf(fields);
    const kept = keptRanks(pattern ?? {}, initial);
    // Without an alpha it is the rank that is left, while the rank to divide by stays the first.
    const scaleOf = (module: string): number =>
      (alpha > 0 ? alpha : (kept.get(module) ?? initial)) / (initial + 1e-5);
    const known = new Set(modules.map(({ module }) => module));
    const stray = [...kept.keys()].find((module) => !known.has(module));
    if (stray !== undefined)
      throw invalid(`rank_pattern is of ${quoteUntrusted(stray)}, which has no tensors`);
    return new Map(
      modules.map((tensors) => {
        const { module } = tensors;
        const pair = pairOf(tensors, scaleOf(module));
        checkRank(module, pair?.rank ?? 0, kept.get(module) ?? initial);
        return [module, pair];
      }),
    );
  },
};
