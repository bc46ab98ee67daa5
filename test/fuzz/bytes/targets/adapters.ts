import { isDeepStrictEqual } from 'node:util';
import { adapterFacts } from '../../../../src/artifact/adapter-facts.ts';
import { splitBiases } from '../../../../src/runtime/adapter/base-bias.ts';
import { safetensorsFile } from '../../../../src/runtime/adapter/conversion/safetensors-file.ts';
import { sitesOfVectors, vectorsOf } from '../../../../src/runtime/adapter/ia3.ts';
import { asLora } from '../../../../src/runtime/adapter/kinds/as-lora.ts';
import { pairsOf, sitesOf, tensorsOfPair } from '../../../../src/runtime/adapter/pairs.ts';
import { parsePeftConfig } from '../../../../src/runtime/adapter/peft-config.ts';
import { headerLength, parseHeader, type TensorEntry } from '../../../../src/runtime/adapter/safetensors.ts';
import { joinScales, type WeightEntry } from '../../../../src/runtime/adapter/scales.ts';
import { floatsOf } from '../../../../src/runtime/adapter/weights.ts';
import { classifierFiles, parseClassifier } from '../../../../src/runtime/classifiers/artifact-file.ts';
import { StaticTable, type TableParts } from '../../../../src/runtime/classifiers/static-table.ts';
import { axisHead, axisTable } from '../../../../src/runtime/classifiers/tables.fixture.ts';
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

const ia3 = parsePeftConfig(
  JSON.stringify({ peft_type: 'IA3', target_modules: '.*', feedforward_modules: ['down_proj', 'o_proj'] }),
);

/** Methods by a part of the names of their tensors, and the configuration of whatever was trained by them. */
const methods = [
  { part: '.lora_E', peft_type: 'ADALORA', rank: 'lora_A', field: 'init_r' },
  { part: '.hada_', peft_type: 'LOHA', rank: 'hada_w1_b', field: 'r' },
  { part: '.lokr_', peft_type: 'LOKR', rank: 'lokr_w2_b', field: 'r' },
].map(({ part, peft_type, rank, field }) => ({
  part,
  configOf: (entries: readonly WeightEntry[]) => {
    const [first] = entries.filter(({ name }) => name.endsWith(rank)).map(({ shape }) => shape[0]);
    const isWhole = { decompose_both: entries.some(({ name }) => name.endsWith('lokr_w1_a')) };
    const fields = { peft_type, target_modules: '.*', [field]: Math.max(1, first ?? 8) };
    return parsePeftConfig(JSON.stringify(peft_type === 'LOKR' ? { ...fields, ...isWhole } : fields));
  },
}));

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
    const buffer = new Uint8Array(data).buffer;
    const checkFinite = (entry: WeightEntry, from: ArrayBuffer, factor: number): void =>
      must(floatsOf(entry, from, factor).every(Number.isFinite), `${entry.name} is not finite`);
    if (has('.ia3_l')) {
      const sites = sitesOfVectors(joined);
      for (const { entry } of vectorsOf({ entries: joined, config: ia3, sites }))
        checkFinite(entry, buffer, 1);
      return 'ia3';
    }
    const method = methods.find(({ part }) => has(part));
    const written = method === undefined ? { ...config, ...kinds, rankOf } : method.configOf(joined);
    const made = asLora(written, joined);
    const { others, biases } = splitBiases(made.entries);
    const pairs = pairsOf({ ...made, entries: others, sites: sitesOf(others), maxRank: 256 });
    // Products take many times the bytes of the file: those of a small one are made.
    const isSmall = made.entries.every(({ begin, end }) => end - begin < 1 << 20);
    if (!isSmall && method !== undefined) return `${method.part}, not made`;
    const section = made.dataOf(buffer);
    for (const { entry, factor } of pairs.flatMap(tensorsOfPair)) checkFinite(entry, section, factor);
    for (const entry of biases.values()) checkFinite(entry, section, 1);
    if (method !== undefined) return method.part;
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
    const read = parsePeftConfig(text, 'any');
    const { rankOf, scalingOf, targets } = read;
    for (const module of modules) {
      read.isFeedforward?.(module);
      const rank = rankOf(module);
      must(Number.isSafeInteger(rank) && rank >= 0, `rank ${rank}`);
      must(typeof scalingOf(module) === 'number', 'a factor is no number');
      targets.includes(module);
    }
    targets.unmatched(modules);
    return '';
  },
};

const [description = '', numbers = ''] = [
  ...classifierFiles({ ...axisTable(), head: axisHead }, 'e').values(),
];

/** One file of a classifier changes, the other is as it was made. */
const classifierPart = (
  name: string,
  mutators: Target['mutators'],
  example: Uint8Array | string,
  read: Read,
): Target => ({
  name,
  reads: 'src/runtime/classifiers/artifact-file.ts',
  examples: () => [Buffer.from(example)],
  mutators,
  codes: ['ROUTE_CLASSIFIER_INVALID', ...codesOf('ADAPTER_')],
  run: (bytes) => {
    const parts = read(bytes);
    const vector = new StaticTable(parts).embed('some rain, the court', 64);
    must(vector === undefined || vector.every(Number.isFinite), 'an embedding is not finite');
    return parts.head === undefined ? '' : 'head';
  },
});
type Read = (bytes: Uint8Array) => TableParts;

export const adapterTargets: readonly Target[] = [
  weights,
  configuration,
  classifierPart('classifier-description', [json], description, (bytes) =>
    parseClassifier(bytes, Buffer.from(numbers), 'x'),
  ),
  classifierPart('classifier-numbers', [safetensors], numbers, (bytes) =>
    parseClassifier(Buffer.from(description), bytes, 'x'),
  ),
];
