import { maxPatternLength } from '../../src/runtime/adapter/module-pattern.ts';
import { maxConfigBytes } from '../../src/runtime/adapter/peft-config.ts';
import { brokenVariants } from '../../src/runtime/adapter/peft-folder.fixture.ts';
import { maxHeaderBytes } from '../../src/runtime/adapter/safetensors.ts';
import { exactnessCases, exactTolerance, made } from '../../test/conformance/support/exactness-cases.ts';
import { code, table } from './table.ts';

const exactnessTest = '[exactness.test.ts](../../test/conformance/exactness.test.ts)';
const compileTest = '[compile.test.ts](../../src/runtime/adapter/compile.test.ts)';

const encoderTest = '[encoder-exactness.test.ts](../../test/conformance/encoder-exactness.test.ts)';
const minilmTest = '[minilm.test.ts](../../test/conformance/minilm.test.ts)';
const classifierTest = '[classifier.test.ts](../../src/runtime/adapter/classifier.test.ts)';
/** Of that test. */
const encoderTolerance = 0.00001;

const refused = (error: string): string => `refused: [\`${error}\`](errors.md)`;

const inFile = ' in the file';

const shown = (setting: string): string =>
  setting.endsWith(inFile) ? `${code(setting.slice(0, -inFile.length))}${inFile}` : code(setting);

const isExact = (result: string | undefined): boolean => result === 'exact' || result === 'native';

const exactBy = (result: string | undefined): string =>
  `exact within ${exactTolerance}${result === 'native' ? ', by the native operator' : ''}`;

const cases = (exact: boolean): readonly string[] =>
  table(
    ['what', 'PEFT setting', 'result', 'proven in'],
    exactnessCases
      .filter((row) => isExact(row.result) === exact)
      .map(({ name, what, setting, result }) => [
        what,
        shown(setting),
        exact ? exactBy(result) : refused(result ?? 'no expectation'),
        `${exactnessTest}: ${code(name)}`,
      ]),
  );

/** docs/reference/adapter-support.md: what of PEFT is served exactly, and what is refused. */
export const adapterSupport = async (): Promise<Map<string, string>> => {
  const text = [
    '# Adapters that are supported',
    '',
    'An adapter is a folder that PEFT saved: `adapter_config.json` and `adapter_model.safetensors`. Adaptlet answers as',
    'PEFT does with it, or it is refused by a code that says why; nothing in it is ignored that could change an answer. Each',
    `row below is an adapter that PEFT ${made.peft} made (test/fixtures/adapters/make.py) and a test of it. Exact means`,
    `that no logit differs from those of PEFT in float32 by more than ${exactTolerance}, where logits reach 12.8. Generated`,
    'from test/conformance/support/exactness-cases.ts.',
    '',
    '## Exact',
    '',
    ...cases(true),
    '',
    'The native operator applies DoRA, IA3, `lora_bias` and biases of the base; on a node without it such an adapter is refused by',
    '[`ADAPTER_NEEDS_OPERATOR`](errors.md): DoRA and IA3 multiply what the base gives, which no pair of small matrices does. DoRA',
    'divides by the lengths of rows of the base weights plus the adapter. They are',
    'computed when the adapter is compiled, from the weights that this node runs, quantised ones as they stand. Proven also on',
    'models with biases, fused linears and 4 bits: [exports.test.ts](../../test/conformance/exports.test.ts).',
    '',
    'AdaLoRA, LoHa and LoKr become pairs when they are compiled, with no operator needed: what costs memory and time is the rank as a',
    'pair. Of LoHa that is the square of its rank (the default 8 is 64), of LoKr the smaller side of `w1` times the rank, or times the',
    'smaller side of a whole `w2`: of a linear of 576 features and rank 8 it is 192. A rank above `maxRank` is refused with both numbers.',
    '`adaptlet compose ADAPTER -o OUT` writes such an adapter as plain LoRA, and with `--method svd` one of a smaller rank near it.',
    '',
    'IA3 scales outputs of any linear of the layers, and inputs of the last linear of a gated MLP: those are outputs of `up_proj` times',
    'something else. A bias of the base is scaled with its product where it can be read. Biases that `bias="all"` trained take the place',
    'of those of the base on linears of the layers, where the base adds them behind the product; biases of norms are refused. Both are',
    'proven on a base with biases: [exports.test.ts](../../test/conformance/exports.test.ts), `qwen2`.',
    '',
    '## Encoders',
    '',
    'On an encoder of the BERT family; anything else that an adapter saves beside its pairs is refused as below.',
    '',
    ...table(
      ['what', 'PEFT setting', 'result', 'proven in'],
      [
        [
          'sequence classification, its head applied to `pooler_output`',
          code('task_type="SEQ_CLS"'),
          `exact within ${encoderTolerance} in float32`,
          encoderTest,
        ],
        [
          'a head beside 8-bit weights',
          code('task_type="SEQ_CLS"'),
          'within 0.2 of float32, where logits reach 4.3',
          minilmTest,
        ],
        ['embeddings', code('task_type="FEATURE_EXTRACTION"'), 'exact', `${encoderTest}, ${classifierTest}`],
        [
          'a head that is incomplete, not one linear, or of another width',
          code('modules_to_save=["classifier"]'),
          refused('ADAPTER_HEAD_INVALID'),
          classifierTest,
        ],
        [
          'a module beside the head',
          code('modules_to_save=["pooler"]'),
          refused('ADAPTER_MODULES_TO_SAVE'),
          classifierTest,
        ],
        [
          'a classifier on a decoder',
          code('task_type="SEQ_CLS"'),
          refused('ADAPTER_TASK_UNSUPPORTED'),
          classifierTest,
        ],
      ],
    ),
    '',
    '## Refused',
    '',
    ...cases(false),
    '',
    'Of adapters by PiSSA, OLoRA, CorDA and LoRA-GA, `adaptlet compose ADAPTER --initial INITIAL -o OUT` subtracts the adapter as it was',
    'before training, as PEFT does with `path_initial_model_for_weight_conversion`: exact within the same bound of what PEFT answers',
    'with the adapter as it is, in [exactness.test.ts](../../test/conformance/exactness.test.ts) for PiSSA and OLoRA. CorDA and LoRA-GA',
    'go by the same subtraction ([compose.test.ts](../../src/runtime/adapter/composition/compose.test.ts)); PEFT was asked for no answer of theirs. INITIAL is saved with `init_lora_weights=True`, as PEFT asks for.',
    '',
    'Why not: a norm gives the input of several linears, which all adapters of a step share. The output layer gives the largest tensor',
    'of a step, which every request would pay for with a sum and a copy of its own, and rows of the token embedding are looked up, not',
    'multiplied; either as a whole is the largest matrix of the base once more for each adapter.',
    '',
    '## Damaged files',
    '',
    ...table(
      ['variant of test/fixtures/models/tiny', 'result', 'proven in'],
      Object.entries(brokenVariants).map(([name, error]) => [code(name), refused(error), compileTest]),
    ),
    '',
    '## Limits',
    '',
    ...table(
      ['of', 'limit'],
      [
        [
          'rank of a module',
          'from 1 to `maxRank` ([configuration](configuration.md)); it may differ by module',
        ],
        [
          'types of tensors',
          'F32, F16, BF16, and I8 with one scale for each row ([smaller adapters](../how-to/make-adapters-smaller.md)), mixed as they come; all are computed in float32',
        ],
        ['files', '`adapter_config.json` and `adapter_model.safetensors`; pickle files are refused'],
        ['`adapter_config.json`', `${maxConfigBytes} bytes, no field twice`],
        ['header of the safetensors file', `${maxHeaderBytes} bytes`],
        [
          'expressions',
          `${maxPatternLength} characters of Python's \`re\` without look-around, back-references, atomic groups and possessive quantifiers; flags i, m and s at the start, repetitions up to 1000`,
        ],
        [
          'modules',
          'linears inside the layers; neither the token embedding nor the output layer, of which a node keeps one for all adapters',
        ],
      ],
    ),
    '',
    '## Stricter than PEFT',
    '',
    'PEFT drops tensors of modules that are not targets, makes up targets that have no tensors, and ignores entries of',
    '`target_modules` that match nothing and fields that it does not know. Each of these shows that the two files of the',
    'folder do not belong together, so Adaptlet refuses it. Keys of `rank_pattern` and `alpha_pattern` that match nothing are',
    'ignored, as PEFT ignores them. PEFT sorts these keys when it saves. Where two keys match one module, the answer is the one',
    'that PEFT gives after it loads the files; that may differ from what was trained.',
    '',
  ].join('\n');
  return new Map([['docs/reference/adapter-support.md', text]]);
};
