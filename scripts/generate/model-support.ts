import { families } from '../../src/runtime/engine/onnx/families.ts';
import { hows, models } from '../../test/conformance/support/exports.ts';
import { code, table } from './table.ts';

const howOf = (how: string): string => Object.entries(hows).find(([each]) => each === how)?.[1] ?? how;

const otherwise = (how: string, expected: number | string): string =>
  typeof expected === 'number'
    ? `${howOf(how)}: right up to ${expected} tokens here, longer requests are refused`
    : expected === 'alone'
      ? `${howOf(how)}: right, one request at a time`
      : `${howOf(how)}: refused, [${code(expected)}](errors.md)`;

/** docs/reference/model-support.md: which exports of which families are served, and what was shown of them. */
export const modelSupport = async (): Promise<Map<string, string>> => {
  const shown = new Set(Object.values(models).map(({ family }) => family));
  const missing = families.filter(({ name }) => !shown.has(name)).map(({ name }) => name);
  if (missing.length > 0) throw new Error(`no export of ${missing.join(', ')}`);
  const text = [
    '# Base models that are supported',
    '',
    'A base model is of one of the families below (`model_type` of its config.json), exported by the model builder of ONNX',
    'Runtime GenAI or by optimum. Each row is a model of two layers with random weights, in the configuration of the family,',
    'that the exporter itself wrote (test/fixtures/exports/make.py: builder 0.18.0 with transformers 5.24.0, optimum-onnx 0.1.0 with',
    'transformers 4.57.6), and a test of it ([exports.test.ts](../../test/conformance/exports.test.ts)). Right means: without an adapter',
    'and with one of PEFT on every linear, no logit differs from those of PyTorch and PEFT in float32 by more than 0.0001, where',
    'logits reach 5 to 25; and requests in pieces, and beside others, are answered as each at once. int4 is held against',
    'PyTorch too, as the weights of these models are ones that 4 bits hold. Generated from test/conformance/support/exports.ts.',
    '',
    ...table(
      ['family', 'what it has', 'right, as exported by', 'otherwise', 'model'],
      Object.entries(models).map(([name, { family, has, exports }]) => {
        const all = Object.entries(exports);
        const right = all.filter(([, expected]) => expected === 'right').map(([how]) => howOf(how));
        const rest = all.filter(([, expected]) => expected !== 'right');
        const others = rest.map(([how, expected]) => otherwise(how, expected));
        return [code(family), has, right.join('; '), others.join('; '), code(name)];
      }),
    ),
    '',
    "Requests share steps wherever the graph can be shown to keep them apart. Of optimum's, those of Gemma do not take positions",
    '(`position_ids`), which are needed for that.',
    '',
    '## What exporters get wrong',
    '',
    'Adaptlet computes what the graph says. Where config.json shows that the graph leaves out something that changes answers, the',
    'requests that it concerns are refused, or the model is.',
    '',
    ...table(
      ['exporter', 'model', 'what happens', 'what to do'],
      [
        [
          'builder',
          'Mistral 0.1, Phi-3-mini-4k: `sliding_window` without `layer_types`',
          'leaves out the window: Adaptlet puts it into the graph (`local_window_size`), by config.json',
          'nothing',
        ],
        [
          'builder',
          'Gemma 3',
          "ends in `KeyError: 'rope_type'` with transformers 5",
          'give config.json `rope_parameters` of both forms, as `builder_rope` in test/fixtures/exports/families.py',
        ],
        ['builder', 'SmolLM3', "ends in `KeyError: 'position_ids'`", 'export with optimum'],
        [
          'builder',
          'Phi (1, 1.5, 2)',
          '`layer_norm_eps` is taken as 0.000001 (0.00001 in their configurations): logits of these models differ from PyTorch by 0.0006',
          'nothing; it is a rounding',
        ],
        [
          'builder',
          'Gemma 1 to 3',
          'the factor of embeddings is rounded to two decimals, as 45.25 for 45.2548: logits of a model 32 wide differed by 0.008',
          'nothing; it is a rounding',
        ],
        [
          'optimum',
          'Gemma 2',
          'traces attention without its soft-capping: refused',
          'load the model with `attn_implementation="eager"` and export it with `onnx_export_from_model`',
        ],
        [
          'optimum',
          'LongRoPE (Phi-3-mini-128k, Phi-4-mini)',
          'the graph has the short positions only: longer requests are refused',
          'export with the builder',
        ],
        [
          'optimum',
          'a window of more than 64 tokens',
          'requests as long as the window are refused: that pieces are answered as at once beyond it is not shown',
          'export with the builder',
        ],
      ],
    ),
    '',
  ].join('\n');
  return new Map([['docs/reference/model-support.md', text]]);
};
