import { adalora } from './adalora.ts';
import type { Kind } from './kind.ts';
import { loha } from './loha.ts';
import { lokr } from './lokr.ts';

/** Methods that are LoRA by another name, by their `peft_type`. */
const kinds: Readonly<Record<string, Kind>> = { ADALORA: adalora, LOHA: loha, LOKR: lokr };

export const kindOf = (type: unknown): Kind | undefined =>
  typeof type === 'string' && Object.hasOwn(kinds, type) ? kinds[type] : undefined;
