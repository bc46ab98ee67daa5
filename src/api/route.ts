import { z } from 'zod';
import { classifierSchema } from './classifier.ts';
import { classifierProblems, patternProblem } from './classifier-references.ts';
import { durationBetween } from './duration.ts';
import { exactlyOneOf } from './exactly-one.ts';
import { matchSchema } from './match.ts';
import { labelNameSchema, modelNameSchema, nameSchema } from './names.ts';
import { hashOnSchema } from './rollout.ts';
import { userSourceSchema } from './source.ts';
import { cel } from './text.ts';
import { duplicatesOf } from './unique.ts';

const targetShape = {
  rollout: nameSchema
    .meta({ description: 'Name of an AdapterRollout of the namespace. Example: sql' })
    .optional(),
  adapter: nameSchema
    .meta({ description: 'Name of an Adapter of the namespace. Example: sql-v2' })
    .optional(),
  base: z.literal(true).meta({ description: 'true: the base model without an adapter.' }).optional(),
};
const targetKeys = ['rollout', 'adapter', 'base'] as const;

/** Exactly one of rollout, adapter, base. */
export const targetSchema = exactlyOneOf(targetShape, targetKeys, {
  example: 'rollout: sql',
  description: 'What serves. Exactly one of rollout, adapter, base.',
});
export type Target = z.infer<typeof targetSchema>;

export const weightedTargetSchema = exactlyOneOf(
  {
    ...targetShape,
    weight: z.int().min(0).max(1_000_000).default(1).meta({
      description:
        'Share of the requests, in proportion to the sum of the weights of the rule; 0 to 1000000, 0 is none. Default 1.',
    }),
  },
  targetKeys,
  {
    example: 'rollout: sql',
    description: 'What serves, and for which share. Exactly one of rollout, adapter, base.',
  },
);
export type WeightedTarget = z.infer<typeof weightedTargetSchema>;

/** One adapter per user without an object per user: `{user}` in the source is replaced by the checked user id. */
export const perUserSchema = z
  .strictObject({
    baseModel: modelNameSchema.meta({
      description: 'Base model of the adapters of the users. Example: smollm2-135m',
    }),
    source: userSourceSchema,
  })
  .meta({
    description:
      'One adapter per user without an object per user. Only ids of 1 to 63 lower-case letters, digits, ".", "_" and "-" that start with a letter or digit take part; other requests go to the fallback.',
  });
export type PerUser = z.infer<typeof perUserSchema>;

export const stickyDecisionSchema = z
  .strictObject({
    idleTimeout: durationBetween('1s', '24h').default('30m').meta({
      description:
        'A session that had no request for so long is decided anew; 1s to 24h. Tokens end with it. Default 30m.',
    }),
    keeps: z.enum(['Version', 'Target', 'Nothing']).default('Version').meta({
      description:
        'Version: what answered the first request answers the others, also where it was a fallback, for as long as it may: not once a canary is aborted or held, or the rule does not name the target any more. Target: the rule and its target stay, and a rollout decides about its versions for each request. Nothing: each request is decided by itself. Default Version.',
    }),
    onUncertain: z.enum(['Keep', 'Decide']).default('Keep').meta({
      description:
        'What becomes of a decision where the verdict of an earlier rule that keeps something was unknown: its classifier was uncertain, the prompt has no text, or its pattern is not in the beginning of a longer prompt. Keep: the session keeps it. Decide: the next request is decided anew. Default Keep.',
    }),
  })
  .meta({
    description:
      'A session keeps the first decision of the rule: its other requests are matched only against earlier rules that keep nothing. The node keeps it, and answers carry a signed token (x-adaptlet-session-token) by which other nodes know it. Absent: a rule that decides by prompts or by chance for each request keeps Version, and so does one behind a rule that decides by prompts and keeps something, both with onUncertain: Decide; the others need no state and keep Nothing.',
  });
export type StickyDecision = z.infer<typeof stickyDecisionSchema>;

export const ruleSchema = exactlyOneOf(
  {
    name: labelNameSchema.meta({
      description:
        'Name of the rule, unique in the route; answers carry it (x-adaptlet-rule). Example: medical',
    }),
    matches: z.array(matchSchema).max(16).default([]).meta({
      description:
        'Alternatives, at most 16: the rule takes a request that fits one of them. Empty: every request.',
    }),
    targets: z
      .array(weightedTargetSchema)
      .min(1)
      .max(16)
      .meta({ description: 'What serves, 1 to 16; a request goes to one of them by weight.' })
      .optional(),
    perUser: perUserSchema.optional(),
    hashOn: hashOnSchema.default('User'),
    stickyDecision: stickyDecisionSchema.optional(),
    fallback: z.array(targetSchema).max(8).default([]).meta({
      description:
        'What serves when the target is not available on this runtime, in order, at most 8. Without one the caller gets an error with the reason.',
    }),
  },
  ['targets', 'perUser'],
  {
    example: 'targets: [{rollout: sql}]',
    description: 'Where requests that fit go. Exactly one of targets, perUser.',
  },
);
export type Rule = z.infer<typeof ruleSchema>;

/**
 * Rules of a route. The API server multiplies what a check of a header may cost by all lists around it: with 128 rules it refuses the CRD, as
 * checks of header names may cost 1.2 times and those of header patterns 1.7 times its budget. That names are unique costs less.
 */
const maxRules = 64;

export const routeSpecSchema = z
  .strictObject({
    model: modelNameSchema.meta({
      description: 'Name that clients send as `model` (OpenAI) or `model_name` (gRPC). Example: assistant',
    }),
    rules: z
      .array(ruleSchema)
      .min(1)
      .max(maxRules)
      .superRefine(duplicatesOf('name'))
      .meta({
        description: 'Rules in their order, 1 to 64; the first that fits is taken.',
        ...cel({
          rule: 'self.all(r, self.exists_one(other, other.name == r.name))',
          message: 'names of rules must be unique in the list',
        }),
      }),
    classifiers: z
      .array(classifierSchema)
      .min(1)
      .max(8)
      .superRefine(duplicatesOf('name'))
      .meta({
        description:
          'What gives prompts labels that rules match, 1 to 8. Only those are asked that a rule needs.',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['name'],
      })
      .optional(),
  })
  .superRefine((spec, ctx) => {
    for (const { path, message } of classifierProblems(spec))
      ctx.addIssue({ code: 'custom', path: [...path], message });
    const costly = patternProblem(spec.rules);
    if (costly !== undefined) ctx.addIssue({ code: 'custom', path: ['rules'], message: costly });
  })
  .meta({
    description:
      'A name that clients call, and rules that send each request to a rollout, an adapter or the base model.',
  });
export type RouteSpec = z.infer<typeof routeSpecSchema>;
