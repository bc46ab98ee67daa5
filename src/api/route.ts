import { z } from 'zod';
import { sourceSchema } from './adapter.ts';
import { hashOnSchema } from './rollout.ts';

/** Exactly one of rollout, adapter, base. */
export const targetSchema = z.strictObject({
  rollout: z.string().optional(),
  adapter: z.string().optional(),
  base: z.literal(true).optional(),
});
export type Target = z.infer<typeof targetSchema>;

export const weightedTargetSchema = targetSchema.extend({ weight: z.int().min(0).max(1_000_000).default(1) });
export type WeightedTarget = z.infer<typeof weightedTargetSchema>;

export const matchSchema = z.strictObject({
  headers: z
    .array(
      z.strictObject({
        name: z.string(),
        type: z.enum(['Exact', 'Prefix', 'Regex']).default('Exact'),
        value: z.string(),
      }),
    )
    .optional(),
  user: z.strictObject({ in: z.array(z.string()).optional(), prefix: z.string().optional() }).optional(),
  tenant: z.strictObject({ in: z.array(z.string()) }).optional(),
});
/** All members that are present must hold (and); the matches of a rule are alternatives (or). */
export type Match = z.infer<typeof matchSchema>;

/** One adapter per user without an object per user: `{user}` in the source is replaced by the checked user id. */
export const perUserSchema = z.strictObject({ baseModel: z.string(), source: sourceSchema });
export type PerUser = z.infer<typeof perUserSchema>;

export const ruleSchema = z.strictObject({
  name: z.string(),
  matches: z.array(matchSchema).default([]),
  targets: z.array(weightedTargetSchema).optional(),
  perUser: perUserSchema.optional(),
  hashOn: hashOnSchema.default('User'),
  fallback: z.array(targetSchema).default([]),
});
export type Rule = z.infer<typeof ruleSchema>;

export const routeSpecSchema = z.strictObject({ model: z.string(), rules: z.array(ruleSchema) });
export type RouteSpec = z.infer<typeof routeSpecSchema>;
