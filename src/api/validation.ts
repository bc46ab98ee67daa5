import { z } from 'zod';
import { durationSchema } from './duration.ts';
import { exactlyOneOf } from './exactly-one.ts';
import { labelNameSchema } from './names.ts';
import { compiles, maxRegexLength, regexProblem } from './regex.ts';
import { cel, text } from './text.ts';
import { duplicatesOf } from './unique.ts';

const expectSchema = exactlyOneOf(
  {
    contains: text(4096)
      .min(1)
      .meta({ description: 'Text that must occur in the answer. Example: "SELECT"' })
      .optional(),
    equals: text(4096)
      .meta({
        description: 'The whole answer, character by character, white space included. Example: " MOON!"',
      })
      .optional(),
    regex: text(maxRegexLength)
      .min(1)
      .superRefine((value, ctx) => {
        const problem = regexProblem(value);
        if (problem !== undefined) ctx.addIssue({ code: 'custom', message: problem });
      })
      .meta({
        description: 'RE2 pattern that must occur in the answer. Example: "(?i)^\\s*select "',
        ...cel(compiles('self')),
      })
      .optional(),
  },
  ['contains', 'equals', 'regex'],
  {
    example: 'contains: SELECT',
    description: 'What the answer must be. Exactly one of contains, equals, regex.',
  },
);

export const smokeTestSchema = z
  .strictObject({
    name: labelNameSchema.meta({ description: 'Name of the test, unique in the list. Example: select' }),
    prompt: text(16_384).min(1).meta({ description: 'Prompt, greedy decoding (temperature 0).' }),
    maxTokens: z
      .int()
      .min(1)
      .max(1024)
      .default(32)
      .meta({ description: 'Most tokens to generate, 1 to 1024. Default 32.' }),
    expect: expectSchema,
  })
  .meta({ description: 'A prompt and what its answer must be.' });
export type SmokeTest = z.infer<typeof smokeTestSchema>;

export const validationSchema = z
  .strictObject({
    smokeTests: z
      .array(smokeTestSchema)
      .max(16)
      .superRefine(duplicatesOf('name'))
      .default([])
      .meta({
        description:
          'Prompts that the adapter must answer as expected before it may serve; at most 16. Default: none.',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['name'],
      }),
    maxLatency: durationSchema
      .meta({ description: 'Longest time that one smoke test may take. Example: 1s. Default: no limit.' })
      .optional(),
    allowNoEffect: z.boolean().default(false).meta({
      description:
        "An adapter whose output on the probe equals the base model's bit for bit is refused unless this is true. Default false.",
    }),
  })
  .meta({ description: 'What the adapter must pass on each node before it may serve.' });
export type Validation = z.infer<typeof validationSchema>;
