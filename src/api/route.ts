import { z } from 'zod';
import { exactlyOneOf } from './exactly-one.ts';
import { labelNameSchema, modelNameSchema, nameSchema } from './names.ts';
import { compiles, maxRegexLength, regexProblem } from './regex.ts';
import { hashOnSchema } from './rollout.ts';
import { userSourceSchema } from './source.ts';
import { cel, formed, line, matching } from './text.ts';
import { duplicatesOf, repeatsOf } from './unique.ts';

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

const pattern = compiles('self.value');

const headerSchema = z
  .strictObject({
    name: formed(
      128,
      matching(
        /^[a-z0-9!#$%&'*+.^_`|~-]+$/,
        'must be a header name in lower case, as HTTP/2 and gRPC send it, for example x-department',
      ),
    )
      .min(1)
      .meta({
        description: 'Name of the header (HTTP) or metadata key (gRPC), lower case. Example: x-department',
      }),
    type: z.enum(['Exact', 'Prefix', 'Regex']).default('Exact').meta({
      description: 'How the value is compared. Regex: RE2, must match the whole value. Default Exact.',
    }),
    value: line(maxRegexLength).meta({
      description: 'Value, prefix or pattern, at most 512 characters. Example: medical',
    }),
  })
  .superRefine(({ type, value }, ctx) => {
    const problem = type === 'Regex' ? regexProblem(value) : undefined;
    if (problem !== undefined) ctx.addIssue({ code: 'custom', path: ['value'], message: problem });
  })
  .meta({
    description: 'A header and what it must be.',
    ...cel({ rule: `self.type != "Regex" || ${pattern.rule}`, message: `value ${pattern.message}` }),
  });

const idList = (what: string) =>
  z
    .array(line(256))
    .min(1)
    .max(256)
    .superRefine(repeatsOf)
    .meta({
      description: `Ids of ${what}, compared character by character; 1 to 256.`,
      'x-kubernetes-list-type': 'set',
    });

const matchKeys = ['headers', 'user', 'tenant'] as const;
const matchMessage = `must have at least one of ${matchKeys.join(', ')}; a rule without matches takes every request`;

export const matchSchema = z
  .strictObject({
    headers: z
      .array(headerSchema)
      .min(1)
      .max(16)
      .meta({
        description: 'Headers that must all match, 1 to 16. A header that is not there does not match.',
      })
      .optional(),
    user: exactlyOneOf(
      {
        in: idList('users').optional(),
        prefix: line(256)
          .meta({ description: 'What the id of the user must start with. Example: beta-' })
          .optional(),
      },
      ['in', 'prefix'],
      { example: 'in: [u42]', description: 'Who asks (x-adaptlet-user). Exactly one of in, prefix.' },
    ).optional(),
    tenant: z
      .strictObject({ in: idList('tenants') })
      .meta({ description: 'For which tenant (x-adaptlet-tenant).' })
      .optional(),
  })
  .refine((match) => matchKeys.some((key) => match[key] !== undefined), { error: matchMessage })
  .meta({
    description: 'What a request must be; everything that is given must hold.',
    ...cel({ rule: matchKeys.map((key) => `has(self.${key})`).join(' || '), message: matchMessage }),
  });
/** All members that are present must hold (and); the matches of a rule are alternatives (or). */
export type Match = z.infer<typeof matchSchema>;

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

export const routeSpecSchema = z
  .strictObject({
    model: modelNameSchema.meta({
      description: 'Name that clients send as `model` (OpenAI) or `model_name` (gRPC). Example: assistant',
    }),
    rules: z
      .array(ruleSchema)
      .min(1)
      .max(64)
      .superRefine(duplicatesOf('name'))
      .meta({
        description: 'Rules in their order, 1 to 64; the first that fits is taken.',
        ...cel({
          rule: 'self.all(r, self.exists_one(other, other.name == r.name))',
          message: 'names of rules must be unique in the list',
        }),
      }),
  })
  .meta({
    description:
      'A name that clients call, and rules that send each request to a rollout, an adapter or the base model.',
  });
export type RouteSpec = z.infer<typeof routeSpecSchema>;
