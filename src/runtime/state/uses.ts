import { z } from 'zod';
import type { RememberedUses } from '../residency/disk-uses.ts';

const amount = z.number().min(0);
const history = z.tuple([z.number().positive(), amount, amount, amount, amount]);

/** How often and how recently artifacts were used. No clock has a part in it. */
export const usesSchema: z.ZodType<RememberedUses> = z.object({
  names: z.array(z.string()),
  policy: z
    .object({
      now: amount,
      fade: amount,
      fadePerUse: z.number().positive(),
      came: z.array(amount),
      foretold: z.array(amount),
      histories: z.array(history.nullable()),
    })
    .optional(),
});
