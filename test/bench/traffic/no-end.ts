import type { Sampling } from '../../../src/runtime/engine/engine.ts';
import { openModelFolder } from '../../../src/runtime/engine/model/folder.ts';
import { readSettings } from '../../../src/runtime/engine/model/settings.ts';

/**
 * Keeps answers from ending before they have all tokens that are asked for. Prompts alone do not: the likeliest token of
 * a near tie depends on the batch.
 */
export const noEnd = (modelDir: string): Pick<Sampling, 'logitBias'> => ({
  logitBias: [...readSettings(openModelFolder(modelDir)).eosIds].map((id) => [id, -1e4]),
});
