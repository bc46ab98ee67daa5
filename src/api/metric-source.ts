import { z } from 'zod';
import { nameSchema } from './names.ts';
import { adviceOn, matching, notMatching, type Requirement, text } from './text.ts';

/** What may stand between `{{` and `}}` in a query, a URL or a jsonPath. */
export const placeholderNames = [
  'namespace',
  'rollout',
  'canary.adapter',
  'canary.digest',
  'stable.adapter',
  'stable.digest',
] as const;
export type PlaceholderName = (typeof placeholderNames)[number];

const placeholder = `\\{\\{ *(${placeholderNames.map((name) => name.replace('.', '\\.')).join('|')}) *\\}\\}`;
const placeholderAdvice = `"{{" must begin one of ${placeholderNames.map((name) => `{{${name}}}`).join(', ')}`;

/**
 * A text with a pattern, and advice for the commonest mistakes before that of the pattern itself. Not `formed`: a
 * rollout may have hundreds of metrics, and the estimated cost of rules in each would be above what the API server takes.
 */
const patterned = (max: number, pattern: RegExp, advice: string, ...mistakes: readonly Requirement[]) =>
  text(max)
    .superRefine((value, ctx) => {
      const message = adviceOn(value, [...mistakes, matching(pattern, advice)]);
      if (message !== undefined) ctx.addIssue({ code: 'custom', message });
    })
    .meta({ pattern: pattern.source });

/** Every `{{` begins a placeholder that is known. PromQL itself has only single braces. */
const queryPattern = new RegExp(`^([^{]|\\{[^{]|${placeholder})*\\{?$`);

const host = '([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?';
const scheme = matching(/^https?:\/\//, 'must start with http:// or https://');
const noUser = notMatching(
  /^https?:\/\/[^/?#]*@/,
  'must not have a user or a password: everybody who may read the rollout would read it',
);
const urlCharacter = "[A-Za-z0-9._~!$&'()*+,;=:@%/?\\[\\]-]";

/** What a server is asked with. */
export const secretRefSchema = z
  .strictObject({
    name: nameSchema.meta({
      description:
        'Name of a Secret of the same namespace with the label adaptlet.io/metrics: "true". Example: prometheus-login',
    }),
    key: text(253)
      .regex(/^[-._a-zA-Z0-9]+$/, { error: 'must be letters, digits, "-", "_" or "."' })
      .meta({ description: 'Key in its data. Example: token' }),
    scheme: z.enum(['Bearer', 'Basic']).default('Bearer').meta({
      description: 'What the value is. Bearer: a token. Basic: user:password. Default Bearer.',
    }),
  })
  .meta({
    description:
      'Credentials that are sent to the server, out of a Secret. Only in a cluster, in namespaces whose Secrets the administrator lets the operator read. Default: none.',
  });
export type SecretRef = z.infer<typeof secretRefSchema>;

export const prometheusSchema = z
  .strictObject({
    address: patterned(
      512,
      new RegExp(`^https?://${host}(/[A-Za-z0-9._~%-]+)*/?$`),
      'must be scheme, host, port and perhaps a path, without a query, for example http://prometheus.monitoring.svc:9090',
      scheme,
      noUser,
    ).meta({
      description:
        'Where Prometheus, or a server with its HTTP API, answers; a path comes before /api/v1/query. Example: http://prometheus.monitoring.svc:9090',
    }),
    query: patterned(
      4096,
      queryPattern,
      `${placeholderAdvice}, for example errors_total{adapter="{{canary.adapter}}"}`,
    )
      .min(1)
      .meta({
        description:
          'PromQL, asked as of now. The result must be a scalar or exactly one sample: aggregate with sum, avg or max. {{namespace}}, {{rollout}}, {{canary.adapter}}, {{canary.digest}}, {{stable.adapter}} and {{stable.digest}} stand for what the rollout has then. Up to 4096 characters. Example: sum(rate(checkout_errors_total{adapter="{{canary.adapter}}"}[5m]))',
      }),
    secretRef: secretRefSchema.optional(),
  })
  .meta({ description: 'A number from a query to Prometheus.' });
export type PrometheusSource = z.infer<typeof prometheusSchema>;

const name = `([A-Za-z0-9_-]|${placeholder})+`;
const quotedName = `([^'"{}\\[\\]]|${placeholder})+`;
const step = `(\\.${name}|\\[[0-9]{1,7}\\]|\\['${quotedName}'\\]|\\["${quotedName}"\\])`;

export const httpSchema = z
  .strictObject({
    url: patterned(
      2048,
      new RegExp(`^https?://${host}([/?](${urlCharacter}|${placeholder})*)?$`),
      `must be a URL with a host, for example https://scores.example/v1?adapter={{canary.adapter}}; placeholders stand after the host, and ${placeholderAdvice}`,
      scheme,
      noUser,
      notMatching(/#/, 'must not have a fragment ("#…"): servers do not get it'),
    ).meta({
      description:
        'Address that GET answers with JSON, up to 1 MiB of it. {{namespace}}, {{rollout}}, {{canary.adapter}}, {{canary.digest}}, {{stable.adapter}} and {{stable.digest}} stand for what the rollout has then, after the host. Redirects are not followed. Example: https://scores.example/v1?adapter={{canary.adapter}}',
    }),
    jsonPath: patterned(
      512,
      new RegExp(`^(\\$${step}*|\\{${step}+\\})$`),
      `must be names and indexes, for example $.scores[0].value, {.scores[0].value} or $.adapters['{{canary.adapter}}']; there are no filters and no wildcards, and ${placeholderAdvice}`,
      matching(/^[${]/, 'must start with "$" or "{.", for example $.scores[0].value'),
    ).meta({
      description:
        "Where the number is in the JSON: names after a dot or as ['name'], indexes as [0]. A text that is a number counts as one. The placeholders of url stand for names here as well. Example: $.scores[0].value",
    }),
    secretRef: secretRefSchema.optional(),
  })
  .meta({ description: 'A number from the JSON that a URL answers.' });
export type HttpSource = z.infer<typeof httpSchema>;
