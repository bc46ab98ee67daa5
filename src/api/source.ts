import { z } from 'zod';
import { exactlyOneOf } from './exactly-one.ts';
import { imageAdvice, imagePattern, imageTemplatePattern } from './image.ts';
import { text } from './text.ts';

const segment = '[A-Za-z0-9_@+=-][A-Za-z0-9._@+=-]*';
const templateSegment = '([A-Za-z0-9_@+=-]|\\{user\\})([A-Za-z0-9._@+=-]|\\{user\\})*';
const pathPattern = new RegExp(`^${segment}(/${segment})*$`);
const pathTemplatePattern = new RegExp(`^${templateSegment}(/${templateSegment})*$`);

const pathAdvice = (path: string): string => {
  if (path.startsWith('/'))
    return 'must be relative to an import root of the runtime, not absolute: write team-a/sql-v2';
  if (path.split('/').includes('..'))
    return 'must not have ".." segments: write a path below an import root of the runtime';
  return 'must be segments of letters, digits, ".", "_", "@", "+", "=" and "-" that do not start with ".", joined by single "/", for example team-a/sql-v2';
};

const adviceOf = (advise: (value: string) => string) => ({
  error: ({ input }: { readonly input?: unknown }) => advise(String(input)),
});

export const sourceSchema = exactlyOneOf(
  {
    oci: z
      .strictObject({
        image: text(512).regex(imagePattern, adviceOf(imageAdvice)).meta({
          description:
            'registry/repository:tag or registry/repository@sha256:…. The registry is always written out. A tag is resolved once; a digest says what it must resolve to. Example: registry.example/team-a/sql:v2',
        }),
      })
      .meta({
        description: 'An artifact of an OCI registry: an image manifest with the files of a PEFT adapter.',
      })
      .optional(),
    path: z
      .strictObject({
        path: text(1024).regex(pathPattern, adviceOf(pathAdvice)).meta({
          description:
            'Folder with adapter_config.json and adapter_model.safetensors, relative to an import root that the administrator of the runtime allowed. Example: team-a/sql-v2',
        }),
      })
      .meta({ description: 'A folder on the node.' })
      .optional(),
  },
  ['oci', 'path'],
  {
    example: 'oci: {image: registry.example/team-a/sql:v2}',
    description: 'Where the files of an adapter come from. Exactly one of oci, path.',
  },
);

/** Where the files of an adapter come from; exactly one member is present. */
export type Source = z.infer<typeof sourceSchema>;

const templateAdvice =
  (plain: (value: string) => string, example: string) =>
  (value: string): string => {
    if (!value.includes('{user}')) return `must contain {user}, for example ${example}`;
    return /\{(?!user\})/.test(value) || /(?<!\{user)\}/.test(value)
      ? `must have no other placeholder than {user}, for example ${example}`
      : plain(value.replaceAll('{user}', 'user'));
  };

const imageExample = 'registry.example/team-a/users/{user}:current';
const pathExample = 'team-a/users/{user}';
const hasUser = (what: string, example: string) => ({
  rule: `self.contains('{user}')`,
  message: `${what} must contain {user}, for example ${example}`,
});

/** A {@link Source} in which `{user}` stands for the checked id of the user. */
export const userSourceSchema = exactlyOneOf(
  {
    oci: z
      .strictObject({
        image: text(512)
          .regex(imageTemplatePattern, adviceOf(templateAdvice(imageAdvice, imageExample)))
          .refine((value) => value.includes('{user}'), adviceOf(templateAdvice(imageAdvice, imageExample)))
          .meta({
            description: `Image reference with {user} in the repository or the tag. Example: ${imageExample}`,
            'x-kubernetes-validations': [hasUser('image', imageExample)],
          }),
      })
      .meta({ description: 'One artifact per user in an OCI registry.' })
      .optional(),
    path: z
      .strictObject({
        path: text(1024)
          .regex(pathTemplatePattern, adviceOf(templateAdvice(pathAdvice, pathExample)))
          .refine((value) => value.includes('{user}'), adviceOf(templateAdvice(pathAdvice, pathExample)))
          .meta({
            description: `Folder per user, relative to an import root of the runtime. Example: ${pathExample}`,
            'x-kubernetes-validations': [hasUser('path', pathExample)],
          }),
      })
      .meta({ description: 'One folder per user on the node.' })
      .optional(),
  },
  ['oci', 'path'],
  {
    example: `oci: {image: "${imageExample}"}`,
    description:
      'Where the adapter of each user comes from. Exactly one of oci, path; {user} stands for the id of the user.',
  },
);
