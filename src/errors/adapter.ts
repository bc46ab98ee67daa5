import { defineErrors } from './define.ts';

/** Why an adapter's files are refused: reading PEFT folders, compiling and validating. */
export const adapterErrors = defineErrors({
  ADAPTER_CONFIG_INVALID: {
    summary: 'adapter_config.json is missing or is not a PEFT LoRA configuration.',
    advice: 'Save the adapter again with peft `save_pretrained`.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
});
