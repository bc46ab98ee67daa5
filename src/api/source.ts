import { z } from 'zod';
import { exactlyOneOf } from './exactly-one.ts';
import { imageForm, imageTemplateForm } from './image.ts';
import { nameSchema } from './names.ts';
import { formed, matching, notMatching, type Requirement } from './text.ts';

const segment = '[A-Za-z0-9_@+=-][A-Za-z0-9._@+=-]*';
const templateSegment = '([A-Za-z0-9_@+=-]|\\{user\\})([A-Za-z0-9._@+=-]|\\{user\\})*';
const pathPattern = new RegExp(`^${segment}(/${segment})*$`);
const pathTemplatePattern = new RegExp(`^${templateSegment}(/${templateSegment})*$`);

const pathRequirements: readonly Requirement[] = [
  notMatching(/^\//, 'must be relative to an import root of the runtime, not absolute: write team-a/sql-v2'),
  notMatching(
    /(^|\/)\.\.(\/|$)/,
    'must not have ".." segments: write a path below an import root of the runtime',
  ),
];
const pathAdvice =
  'must be segments of letters, digits, ".", "_", "@", "+", "=" and "-" that do not start with ".", joined by single "/", for example team-a/sql-v2';

/** What a folder below an import root must be. */
export const pathForm: readonly Requirement[] = [...pathRequirements, matching(pathPattern, pathAdvice)];

/** Where the credential of a registry is. The name is no secret; it is in plans. */
const pullSecretRefSchema = z
  .strictObject({
    name: nameSchema.meta({
      description:
        'Name of a Secret of the same namespace, of type kubernetes.io/dockerconfigjson, with the label adaptlet.io/pull: "true". Example: registry-login',
    }),
  })
  .meta({
    description:
      'Credential of the registry, out of a Secret. Nodes get tokens for this repository alone. Only in a cluster, in namespaces whose Secrets the administrator lets the operator read. What is in the Secret may change, its name may not. Default: the credentials that the administrator gave to nodes and operator.',
  })
  .optional();

export const sourceSchema = exactlyOneOf(
  {
    oci: z
      .strictObject({
        image: formed(512, ...imageForm).meta({
          description:
            'registry/repository:tag or registry/repository@sha256:…. The registry is always written out. A tag is resolved once; a digest says what it must resolve to. Example: registry.example/team-a/sql:v2',
        }),
        pullSecretRef: pullSecretRefSchema,
      })
      .meta({
        description: 'An artifact of an OCI registry: an image manifest with the files of a PEFT adapter.',
      })
      .optional(),
    path: z
      .strictObject({
        path: formed(1024, ...pathForm).meta({
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
export type OciSource = NonNullable<Source['oci']>;

const imageExample = 'registry.example/team-a/users/{user}:current';
const pathExample = 'team-a/users/{user}';

const templateRequirements = (example: string): readonly Requirement[] => [
  matching(/\{user\}/, `must contain {user}, for example ${example}`),
  matching(/^([^{}]|\{user\})*$/, `must have no other placeholder than {user}, for example ${example}`),
];

/** A {@link Source} in which `{user}` stands for the checked id of the user. */
export const userSourceSchema = exactlyOneOf(
  {
    oci: z
      .strictObject({
        image: formed(512, ...templateRequirements(imageExample), ...imageTemplateForm).meta({
          description: `Image reference with {user} in the repository or the tag. Example: ${imageExample}`,
        }),
        pullSecretRef: pullSecretRefSchema,
      })
      .meta({ description: 'One artifact per user in an OCI registry.' })
      .optional(),
    path: z
      .strictObject({
        path: formed(
          1024,
          ...templateRequirements(pathExample),
          ...pathRequirements,
          matching(pathTemplatePattern, pathAdvice),
        ).meta({
          description: `Folder per user, relative to an import root of the runtime. Example: ${pathExample}`,
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

const userIdPattern = /^[a-z0-9]([a-z0-9._-]{0,62})$/;

/** True when a user id may become part of a path or of an image reference, as `perUser` rules do with it. */
export const isPerUserId = (user: string): boolean => userIdPattern.test(user);

/** A template with the user in it. */
export const fillUser = (template: string, user: string): string => template.replaceAll('{user}', user);
