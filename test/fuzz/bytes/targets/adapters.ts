import { isDeepStrictEqual } from 'node:util';
import { adapterFacts } from '../../../../src/artifact/adapter-facts.ts';
import { safetensorsFile } from '../../../../src/runtime/adapter/conversion/safetensors-file.ts';
import { pairsOf, sitesOf, tensorsOfPair } from '../../../../src/runtime/adapter/pairs.ts';
import { parsePeftConfig } from '../../../../src/runtime/adapter/peft-config.ts';
import { headerLength, parseHeader, type TensorEntry } from '../../../../src/runtime/adapter/safetensors.ts';
import { joinScales } from '../../../../src/runtime/adapter/scales.ts';
import { floatsOf } from '../../../../src/runtime/adapter/weights.ts';
import { codesOf, fileInEach } from '../examples.ts';
import { json } from '../mutators/json.ts';
import { safetensors } from '../mutators/safetensors.ts';
import { must, type Target, textOf } from '../target.ts';

const modules = [
  'model.layers.0.self_attn.q_proj',
  'model.layers.11.mlp.down_proj',
  'encoder.layer.1.attention.self.query',
  'lm_head',
  'x',
];

const config = parsePeftConfig(
  JSON.stringify({ peft_type: 'LORA', r: 4, rank_pattern: { down_proj: 2 }, target_modules: 'all-linear' }),
);

const entriesOf = (
  file: Uint8Array,
): { readonly entries: readonly TensorEntry[]; readonly data: Uint8Array } => {
  const length = headerLength(file.subarray(0, 8), file.length, 'x');
  const data = file.subarray(8 + length);
  return { entries: parseHeader(file.subarray(8, 8 + length), data.length, 'x'), data };
};

/** What was read says where each tensor is; written again it says the same of the tensors. */
const checkEntries = (entries: readonly TensorEntry[], data: Uint8Array): void => {
  let end = 0;
  for (const entry of entries) {
    must(entry.begin === end && entry.end >= entry.begin, `${entry.name} does not begin where another ends`);
    end = entry.end;
  }
  must(end === data.length, 'bytes of the data belong to no tensor');
  if (entries.length > 64 || entries.some(({ begin, end: to }) => begin === to)) return;
  const tensors = entries.map((entry) => ({ ...entry, data: data.subarray(entry.begin, entry.end) }));
  const again = entriesOf(safetensorsFile(tensors, {}));
  const facts = (each: readonly TensorEntry[]) =>
    each.map(({ name, dtype, shape }) => ({ name, dtype, shape })).sort((a, b) => (a.name < b.name ? -1 : 1));
  must(isDeepStrictEqual(facts(again.entries), facts(entries)), 'written again, the file has other tensors');
};

const weights: Target = {
  name: 'safetensors',
  reads: 'src/runtime/adapter/safetensors.ts',
  examples: () =>
    [
      'test/fixtures/adapters',
      'test/fixtures/models/tiny/adapters',
      'test/fixtures/models/tiny/variants',
    ].flatMap((folder) =>
      fileInEach(folder, 'adapter_model.safetensors').filter(({ length }) => length < 20_000),
    ),
  mutators: [safetensors],
  codes: codesOf('ADAPTER_'),
  run: (bytes) => {
    const { entries, data } = entriesOf(bytes);
    checkEntries(entries, data);
    const joined = joinScales(entries);
    // The configuration of whatever was trained.
    const ranks = new Map(joined.map(({ name, shape }) => [name, shape[0] ?? 0]));
    const rankOf = (module: string): number => ranks.get(`base_model.model.${module}.lora_A.weight`) ?? 0;
    const has = (part: string): boolean => joined.some(({ name }) => name.includes(part));
    const kinds = { dora: has('lora_magnitude_vector'), loraBias: has('lora_B.bias') };
    const pairs = pairsOf({
      entries: joined,
      config: { ...config, ...kinds, rankOf },
      sites: sitesOf(joined),
      maxRank: 256,
    });
    const buffer = new Uint8Array(data).buffer;
    for (const { entry, factor } of pairs.flatMap(tensorsOfPair))
      must(floatsOf(entry, buffer, factor).every(Number.isFinite), `${entry.name} is not finite`);
    return Object.entries(kinds)
      .flatMap(([kind, is]) => (is ? [kind] : []))
      .join(' ');
  },
};

const configuration: Target = {
  name: 'peft-config',
  reads: 'src/runtime/adapter/peft-config.ts',
  examples: () =>
    ['test/fixtures/adapters', 'test/fixtures/models/tiny/variants', 'test/fixtures/exports/llama'].flatMap(
      (folder) => fileInEach(folder, 'adapter_config.json'),
    ),
  mutators: [json],
  codes: codesOf('ADAPTER_'),
  run: (bytes) => {
    const text = textOf(bytes);
    JSON.stringify(adapterFacts(text));
    const { rankOf, scalingOf, targets } = parsePeftConfig(text, 'any');
    for (const module of modules) {
      const rank = rankOf(module);
      must(Number.isSafeInteger(rank) && rank >= 0, `rank ${rank}`);
      must(typeof scalingOf(module) === 'number', 'a factor is no number');
      targets.includes(module);
    }
    targets.unmatched(modules);
    return '';
  },
};

export const adapterTargets: readonly Target[] = [weights, configuration];
