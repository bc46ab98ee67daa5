import { z } from 'zod';
import { exactlyOneOf } from './exactly-one.ts';
import { imageForm } from './image.ts';
import { digestSchema, labelNameSchema, nameSchema } from './names.ts';
import { pathForm, pullSecretRefSchema } from './source.ts';
import { formed, matching, text } from './text.ts';
import { duplicatesOf } from './unique.ts';

const labelName = labelNameSchema.meta({ description: 'Name of the label. Example: medical' });

/** The API server takes no two of one name, and merges what several managers apply. */
const namedList = { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] };

const keywordsSchema = z
  .strictObject({
    labels: z
      .array(
        z
          .strictObject({
            name: labelName,
            terms: z
              .array(
                z
                  .strictObject({
                    text: formed(
                      64,
                      matching(/[\p{L}\p{N}]/u, 'must have a letter or a digit'),
                      matching(/^\P{Cc}*$/u, 'must not have control characters or line breaks'),
                    ).meta({
                      description:
                        'A word, or words that follow each other, compared without regard to case. An asterisk at the end takes words that begin so. Example: heart rate*',
                    }),
                    weight: z.number().min(0.01).max(100).default(1).meta({
                      description: 'What it counts for, 0.01 to 100. Default 1.',
                    }),
                  })
                  .meta({ description: 'A term of the label.' }),
              )
              .min(1)
              .max(64)
              .superRefine(duplicatesOf('text'))
              .meta({
                description: 'Terms that speak for the label, 1 to 64.',
                'x-kubernetes-list-type': 'map',
                'x-kubernetes-list-map-keys': ['text'],
              }),
          })
          .meta({ description: 'A label and its terms.' }),
      )
      .min(1)
      .max(32)
      .superRefine(duplicatesOf('name'))
      .meta({ description: 'Labels, 1 to 32.', ...namedList }),
  })
  .meta({
    description:
      'Counts words by BM25. The confidence of a label is its share of the evidence for all labels and one for none of them.',
  });
export type Keywords = z.infer<typeof keywordsSchema>;

/** Where the artifact of a classifier comes from, and what it must be. */
const classifierSourceSchema = exactlyOneOf(
  {
    oci: z
      .strictObject({
        image: formed(512, ...imageForm).meta({
          description:
            'registry/repository:tag or registry/repository@sha256:…. Example: registry.example/team-a/intent:v1',
        }),
        pullSecretRef: pullSecretRefSchema,
      })
      .meta({ description: 'An artifact of an OCI registry, as `adaptlet push` packs it.' })
      .optional(),
    path: z
      .strictObject({
        path: formed(1024, ...pathForm).meta({
          description:
            'Folder that `adaptlet classifier distil` wrote, or of an adapter with a head, relative to an import root of the runtime. Example: team-a/intent',
        }),
      })
      .meta({ description: 'A folder on the node.' })
      .optional(),
  },
  ['oci', 'path'],
  {
    example: 'oci: {image: registry.example/team-a/intent:v1}',
    description: 'Where the artifact comes from. Exactly one of oci, path.',
  },
);

const examplesSchema = z
  .strictObject({
    source: classifierSourceSchema,
    digest: digestSchema.meta({
      description: 'Digest of the artifact; `adaptlet classifier distil` and `adaptlet push` print it.',
    }),
    labels: z
      .array(
        z
          .strictObject({
            name: labelName,
            adapter: nameSchema
              .meta({
                description:
                  'Adapter of the namespace whose prompts of validation.smokeTests are examples. Default, without texts: the one of the name of the label.',
              })
              .optional(),
            texts: z
              .array(text(1024).min(1))
              .min(1)
              .max(64)
              .meta({ description: 'Examples, 1 to 64. Default: the smoke tests of the adapter.' })
              .optional(),
          })
          .meta({ description: 'A label and what is like it.' }),
      )
      .min(1)
      .max(32)
      .superRefine(duplicatesOf('name'))
      .meta({
        description: 'Labels, 1 to 32. Default: those of the head that the artifact was distilled with.',
        ...namedList,
      })
      .optional(),
  })
  .meta({
    description:
      'Compares the prompt with examples by a static table of embeddings. The confidence of a label is the cosine to its nearest examples, or the probability that the head of the artifact gives.',
  });

const onnxSchema = z
  .strictObject({
    source: classifierSourceSchema,
    digest: digestSchema.meta({ description: 'Digest of the artifact; `adaptlet push` prints it.' }),
  })
  .meta({
    description:
      'Runs the encoder of the node (--classifier-model), in a process of its own, with an adapter that has a classification head, as PEFT writes it. The labels are those of the head, the confidence is the probability that it gives. Uncertain on a node without an encoder, and where that does not answer within 100 ms.',
  });

const share = (what: string) =>
  z
    .number()
    .min(0)
    .max(1)
    .meta({ description: `${what}, 0 to 1.` });

export const classifierSchema = exactlyOneOf(
  {
    name: labelNameSchema.meta({
      description: 'Name of the classifier, unique in the route. Example: intent',
    }),
    keywords: keywordsSchema.optional(),
    examples: examplesSchema.optional(),
    onnx: onnxSchema.optional(),
    minConfidence: share('Least confidence of the best label; with less the classifier is uncertain'),
    minMargin: share(
      'Least distance to the confidence of the second label; with less the classifier is uncertain',
    ).default(0),
    onUncertain: z.enum(['NoMatch', 'Refuse']).default('NoMatch').meta({
      description:
        'What becomes of a request where the classifier is uncertain, has no artifact yet, or the prompt has no text. NoMatch: no match that asks it holds, and later rules decide. Refuse: ROUTE_UNCERTAIN. Either way the answer says so (x-adaptlet-classified). Default NoMatch.',
    }),
    maxTokens: z.int().min(1).max(512).default(64).meta({
      description:
        'Words (keywords) or tokens (examples, onnx) of the prompt that are looked at, from its beginning, 1 to 512. Default 64.',
    }),
    cache: z
      .strictObject({
        by: z.enum(['Session']).meta({ description: 'Session: the session of the request.' }),
      })
      .meta({
        description:
          'What the classifier was certain of holds for the session on this node, until it was idle for 30 minutes. Default: each request is classified.',
      })
      .optional(),
  },
  ['keywords', 'examples', 'onnx'],
  {
    example: 'keywords: {labels: [{name: medical, terms: [{text: heart}]}]}',
    description: 'Gives prompts a label. Exactly one of keywords, examples, onnx.',
  },
);
export type Classifier = z.infer<typeof classifierSchema>;

/** The adapter whose smoke tests are examples of a label; undefined: it has texts of its own. */
export const exampleAdapterOf = ({
  name,
  adapter,
  texts,
}: {
  readonly name: string;
  readonly adapter?: string | undefined;
  readonly texts?: readonly string[] | undefined;
}): string | undefined => adapter ?? (texts === undefined ? name : undefined);
