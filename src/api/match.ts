import { z } from 'zod';
import { exactlyOneOf } from './exactly-one.ts';
import { labelNameSchema } from './names.ts';
import { compiles, maxRegexLength, regexProblem } from './regex.ts';
import { cel, formed, line, matching, text } from './text.ts';
import { repeatsOf } from './unique.ts';

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
      description:
        'How the value is compared. Regex: RE2, must match the whole value. Of a value of more than 2048 characters it cannot be told: neither it nor its negation holds. Default Exact.',
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

const headers = (most: number) =>
  z
    .array(headerSchema)
    .min(1)
    .max(most)
    .meta({
      description: `Headers that must all match, 1 to ${most}. A header that is not there does not match.`,
    })
    .optional();

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

/** Conditions that read one header by a name of their own, and the header. */
export const presets = {
  locale: 'x-adaptlet-locale',
  deviceType: 'x-adaptlet-device-type',
  location: 'x-adaptlet-location',
  task: 'x-adaptlet-task',
} as const;
export type Preset = keyof typeof presets;
/** Characters of one of their values in a rule. */
export const maxPresetLength = 64;

const preset = (header: string, what: string, example: string, more = '') =>
  z
    .strictObject({
      in: z
        .array(line(maxPresetLength))
        .min(1)
        .max(32)
        .superRefine(repeatsOf)
        .meta({
          description: `Values, 1 to 32, compared without regard to case; a value also takes what follows it after a hyphen. Example: [${example}]`,
          'x-kubernetes-list-type': 'set',
        }),
    })
    .meta({ description: `${what} (${header})${more}.` })
    .optional();

const promptRegexSchema = text(maxRegexLength)
  .min(1)
  .superRefine((value, ctx) => {
    const problem = regexProblem(value);
    if (problem !== undefined) ctx.addIssue({ code: 'custom', message: problem });
  })
  .meta({
    description:
      'RE2 pattern that occurs in the prompt: in its first 2048 characters, of a conversation in those of the last message of the user. Where it is not found and the prompt is longer, or is token ids, neither it nor its negation holds. Example: "(?i)\\binvoice\\b"',
    ...cel(compiles('self')),
  })
  .optional();

/** The name that a client proposes; read only of callers who may (right Hints). */
export const hintHeader = 'x-adaptlet-adapter-hint';

const leafShape = {
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
  promptRegex: promptRegexSchema,
  locale: preset(
    presets.locale,
    'Language of the caller',
    'de, fr-CA',
    '; without the header the first language of accept-language',
  ),
  deviceType: preset(presets.deviceType, 'What the caller asks from', 'phone, kiosk'),
  location: preset(presets.location, 'Where the caller is', 'AT, DE-BY'),
  task: preset(presets.task, 'What the caller does', 'summarize'),
  adapterHint: z
    .strictObject({
      in: z.array(line(253)).min(1).max(32).superRefine(repeatsOf).meta({
        description: 'Names, 1 to 32, compared character by character. Example: [medical-v2]',
        'x-kubernetes-list-type': 'set',
      }),
    })
    .meta({
      description: `What the caller proposes (${hintHeader}). Only of callers whose credential has the right Hints in the AdapterPolicy.`,
    })
    .optional(),
  classifier: z
    .strictObject({
      name: labelNameSchema.meta({ description: 'Name of a classifier of the route. Example: intent' }),
      labels: z.array(line(63)).min(1).max(32).superRefine(repeatsOf).meta({
        description: 'Labels of which the classifier must be certain of one, 1 to 32. Example: [medical]',
        'x-kubernetes-list-type': 'set',
      }),
    })
    .meta({
      description:
        'What a classifier says of the prompt. While it is uncertain neither this nor its negation holds.',
    })
    .optional(),
};

const leafKeys = [
  'headers',
  'user',
  'tenant',
  'promptRegex',
  'locale',
  'deviceType',
  'location',
  'task',
  'adapterHint',
  'classifier',
] as const;
const matchKeys = [...leafKeys, 'not'] as const;

const atLeastOne = (keys: readonly string[]): string => `must have at least one of ${keys.join(', ')}`;
const matchMessage = `${atLeastOne(matchKeys)}; a rule without matches takes every request`;
const presenceOf = (keys: readonly string[]): string => keys.map((key) => `has(self.${key})`).join(' || ');

const negatedSchema = z
  .strictObject({ headers: headers(4), ...leafShape })
  .refine((match) => leafKeys.some((key) => match[key] !== undefined), { error: atLeastOne(leafKeys) })
  .meta({
    description: 'What a request must not be: not everything that is given may hold.',
    ...cel({ rule: presenceOf(leafKeys), message: atLeastOne(leafKeys) }),
  });
/** A match that has no negations in it. */
export type Leaf = z.infer<typeof negatedSchema>;

export const matchSchema = z
  .strictObject({
    headers: headers(16),
    ...leafShape,
    not: z
      .array(negatedSchema)
      .min(1)
      .max(4)
      .meta({ description: 'Matches of which none may hold, 1 to 4.' })
      .optional(),
  })
  .refine((match) => matchKeys.some((key) => match[key] !== undefined), { error: matchMessage })
  .meta({
    description: 'What a request must be; everything that is given must hold.',
    ...cel({ rule: presenceOf(matchKeys), message: matchMessage }),
  });
/** All members that are present must hold (and); none of `not` may (not); the matches of a rule are alternatives (or). */
export type Match = z.infer<typeof matchSchema>;
