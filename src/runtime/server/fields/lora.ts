import { z } from 'zod';
import { harmless, honoured, refused } from './field.ts';

/** `/v1/load_lora_adapter`. */
export const loadLoraFields = {
  lora_name: honoured(z.string()),
  lora_path: honoured(z.string()),
  load_inplace: refused('what an Adapter is never changes; load another name', false),
  is_3d_lora_weight: refused('experts have no adapters', false),
};

/** `/v1/unload_lora_adapter`. */
export const unloadLoraFields = {
  lora_name: honoured(z.string()),
  lora_int_id: harmless('adapters have no numbers'),
};
