import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ErrorCode } from '../../../src/errors/catalogue.ts';

type Expectation = 'exact' | 'native' | ErrorCode;

/**
 * What Adaptlet does with each adapter that test/fixtures/adapters/make.py made with PEFT: the logits of PEFT (`native`: with
 * the native operator; without it ADAPTER_NEEDS_OPERATOR), or the code that it is refused with. The test and docs/reference/adapter-support.md are made from this.
 */
export const expectations = {
  plain: 'exact',
  'rank-one': 'exact',
  'alpha-fraction': 'exact',
  'alpha-zero': 'exact',
  rslora: 'exact',
  'rank-pattern': 'exact',
  'rank-pattern-regex': 'exact',
  'rank-pattern-first': 'exact',
  'alpha-pattern': 'exact',
  'alpha-pattern-regex': 'exact',
  'alpha-pattern-order': 'exact',
  'pattern-unmatched': 'exact',
  'patterns-rslora': 'exact',
  'targets-long-ends': 'exact',
  'targets-full': 'exact',
  'targets-regex': 'exact',
  'targets-regex-python': 'exact',
  'targets-all-linear': 'exact',
  'targets-all-linear-text': 'exact',
  'layers-one': 'exact',
  'layers-list': 'exact',
  'layers-none': 'exact',
  'layers-pattern': 'exact',
  'layers-pattern-regex': 'exact',
  'layers-full-name': 'exact',
  'exclude-list': 'exact',
  'exclude-regex': 'exact',
  'exclude-all-linear': 'exact',
  'fan-in-fan-out': 'exact',
  'fan-in-fan-out-text': 'exact',
  'dtype-fp16': 'exact',
  'dtype-bf16': 'exact',
  'dtype-mixed': 'exact',
  dropout: 'exact',
  'init-gaussian': 'exact',
  'init-eva': 'exact',
  'init-orthogonal': 'exact',
  'init-mica': 'exact',
  'init-false': 'exact',
  'pissa-converted': 'exact',
  'olora-converted': 'exact',
  'weight-tying': 'exact',
  'task-none': 'exact',
  'fields-unknown-off': 'exact',
  'config-old': 'exact',
  dora: 'native',
  'dora-all-linear': 'native',
  'dora-patterns': 'native',
  'lora-bias': 'native',
  'lora-bias-half': 'native',
  'bias-all': 'exact',
  'bias-lora-only': 'exact',
  adalora: 'exact',
  'adalora-pruned': 'exact',
  'adalora-pruned-zero': 'exact',
  'adalora-half': 'exact',
  loha: 'exact',
  'loha-patterns': 'exact',
  lokr: 'exact',
  'lokr-both': 'exact',
  'lokr-whole': 'exact',
  ia3: 'native',
  'ia3-half': 'native',
  'modules-to-save': 'ADAPTER_MODULES_TO_SAVE',
  'modules-to-save-head': 'ADAPTER_MODULES_TO_SAVE',
  'layer-replication': 'ADAPTER_LAYER_REPLICATION',
  qalora: 'ADAPTER_QALORA',
  alora: 'ADAPTER_ALORA',
  'trainable-tokens': 'ADAPTER_TRAINABLE_TOKENS',
  'target-parameters': 'ADAPTER_TARGET_PARAMETERS',
  arrow: 'ADAPTER_ARROW',
  velora: 'ADAPTER_VELORA',
  kasa: 'ADAPTER_KASA',
  'kasa-empty': 'ADAPTER_KASA',
  monteclora: 'ADAPTER_MONTECLORA',
  bdlora: 'ADAPTER_BDLORA',
  megatron: 'ADAPTER_MEGATRON',
  'pissa-trained': 'ADAPTER_INIT_CHANGES_BASE',
  'olora-trained': 'ADAPTER_INIT_CHANGES_BASE',
  'corda-trained': 'ADAPTER_INIT_CHANGES_BASE',
  'lora-ga-trained': 'ADAPTER_INIT_CHANGES_BASE',
  'init-pissa': 'ADAPTER_INIT_CHANGES_BASE',
  'init-pissa-niter-4': 'ADAPTER_INIT_CHANGES_BASE',
  'init-olora': 'ADAPTER_INIT_CHANGES_BASE',
  'init-loftq': 'ADAPTER_INIT_CHANGES_BASE',
  'init-corda': 'ADAPTER_INIT_CHANGES_BASE',
  'init-lora-ga': 'ADAPTER_INIT_CHANGES_BASE',
  'embedding-target': 'ADAPTER_EMBEDDING',
  'head-target': 'ADAPTER_EMBEDDING',
  'head-target-bare': 'ADAPTER_EMBEDDING',
  'embeddings-saved': 'ADAPTER_EMBEDDING',
  'rank-zero': 'ADAPTER_RANK_LIMIT',
  'rank-other': 'ADAPTER_RANK_NOT_CONFIG',
  'dtype-fp64': 'ADAPTER_DTYPE',
  'targets-lookahead': 'ADAPTER_PATTERN_INVALID',
  'targets-possessive': 'ADAPTER_PATTERN_INVALID',
  'targets-back-reference': 'ADAPTER_PATTERN_INVALID',
  'targets-unmatched': 'ADAPTER_TARGET_UNMATCHED',
  'targets-too-few': 'ADAPTER_TENSOR_UNTARGETED',
  'targets-too-many': 'ADAPTER_TENSOR_MISSING',
  'targets-null': 'ADAPTER_CONFIG_INVALID',
  'layers-regex': 'ADAPTER_CONFIG_INVALID',
  'layers-pattern-alone': 'ADAPTER_CONFIG_INVALID',
  'config-twice': 'ADAPTER_CONFIG_INVALID',
  'fields-unknown-on': 'ADAPTER_FIELD_UNKNOWN',
  'task-seq2seq': 'ADAPTER_TASK_UNSUPPORTED',
  'loha-rank': 'ADAPTER_RANK_LIMIT',
  'ia3-inputs': 'ADAPTER_IA3',
  'ia3-head': 'ADAPTER_EMBEDDING',
  'method-oft': 'ADAPTER_PEFT_TYPE',
  'method-vera': 'ADAPTER_PEFT_TYPE',
  'method-prompt-tuning': 'ADAPTER_PEFT_TYPE',
  'method-prefix-tuning': 'ADAPTER_PEFT_TYPE',
} as const satisfies Readonly<Record<string, Expectation>>;

/** Largest absolute difference to PEFT's logits, which reach 12.8. */
export const exactTolerance = 1e-4;

export const exactnessFolder = join(import.meta.dirname, '../../fixtures/adapters');

type Made = {
  readonly peft: string;
  readonly prompts: readonly (readonly number[])[];
  /** How many of a prompt's last positions have golden logits. */
  readonly positions: number;
  readonly cases: readonly {
    readonly name: string;
    readonly what: string;
    readonly setting: string;
    readonly golden: boolean;
  }[];
};

/** What make.py wrote about its cases. */
export const made = JSON.parse(readFileSync(join(exactnessFolder, 'cases.json'), 'utf8')) as Made;

/** Each case with what is expected of it. */
export const exactnessCases = made.cases.map((row) => ({
  ...row,
  result: (expectations as Readonly<Record<string, Expectation | undefined>>)[row.name],
}));
