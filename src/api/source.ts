import { z } from 'zod';
import { exactlyOneOf } from './exactly-one.ts';
import { imageForm, imageTemplateForm } from './image.ts';
import { nameSchema } from './names.ts';
import { cel, formed, matching, notMatching, type Requirement, text } from './text.ts';

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
export const pullSecretRefSchema = z
  .strictObject({
    name: nameSchema.meta({
      description:
        'Name of a Secret of the same namespace, of type kubernetes.io/dockerconfigjson, with the label adaptlet.io/pull: "true". Example: registry-login',
    }),
  })
  .meta({
    description:
      'Credential of the registry, out of a Secret. Nodes get tokens for this repository alone. Only in a cluster, in namespaces whose Secrets the administrator lets the operator read. What is in the Secret may change. Default: the credentials that the administrator gave to nodes and operator.',
  })
  .optional();

/** What the beginning of the addresses of http sources must be. */
export const urlPrefixForm: readonly Requirement[] = [
  matching(
    /^https?:\/\/([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(\/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*\/?$/,
    'must be scheme and host, alone or with the beginning of the path, without a query: for example https://files.example/team-a',
  ),
];

/** Where huggingFace sources come from unless a node has another hub. */
export const defaultHubEndpoint = 'https://huggingface.co';

const hubName = '[A-Za-z0-9][A-Za-z0-9._-]{0,95}';

/** What an owner at a hub, or a repository of one, must be. */
export const hubPrefixForm: readonly Requirement[] = [
  matching(new RegExp(`^${hubName}(/${hubName})?$`), 'must be owner or owner/name, for example team-a'),
];

/** A Secret says by this annotation which web servers what is in it may be sent to: hosts, separated by commas. */
export const hostsAnnotation = 'adaptlet.io/hosts';

/** The credential of a server that is no registry. */
const secretKeySchema = (what: string, example: string, more = '') =>
  z
    .strictObject({
      name: nameSchema.meta({
        description: `Name of a Secret of the same namespace with the label adaptlet.io/pull: "true"${more}. Example: ${example}`,
      }),
      key: text(253)
        .regex(/^[-._a-zA-Z0-9]+$/, { error: 'must be letters, digits, "-", "_" or "."' })
        .meta({ description: `Key in its data with ${what}.` }),
    })
    .meta({
      description: `Where ${what} is. Nodes get it from the operator, in memory only, where the administrator lets them (credentials.passwords of the chart). Only in a cluster, in namespaces whose Secrets the operator may read. What is in the Secret may change, its name may not.`,
    });

const archiveMessage =
  'must be one of tar, tar.gz, tar.zst, zip: the path of the address does not end in .tar, .tar.gz, .tgz, .tar.zst or .zip';

const archives = ['tar', 'tar.gz', 'tar.zst', 'zip'] as const;
export type ArchiveKind = (typeof archives)[number];
const archiveEnd = /\.(?:tar|tar\.gz|tgz|tar\.zst|zip)$/;

const httpSourceSchema = z
  .strictObject({
    url: formed(
      2048,
      matching(/^https?:\/\//, 'must start with https://, or with http:// where the administrator allows it'),
      notMatching(
        /^https?:\/\/[^/?#]*@/,
        'must not have a user or a password: everybody who may read the Adapter would read it; use header',
      ),
      matching(
        /^https?:\/\/([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?\/[!-~]*$/,
        'must be scheme, host and path, without spaces, for example https://files.example/team-a/sql-v2.tar.gz',
      ),
      notMatching(/#/, 'must not have a fragment (#)'),
    ).meta({
      description:
        'Address of an archive that has the files of one PEFT adapter, in whatever folder. Example: https://files.example/team-a/sql-v2.tar.gz',
    }),
    sha256: formed(
      64,
      matching(/^[0-9a-f]{64}$/, 'must be 64 lower-case hexadecimal digits, as sha256sum prints them'),
    ).meta({ description: 'SHA-256 of the archive, as sha256sum prints it.' }),
    archive: z
      .enum(archives)
      .meta({
        description:
          'What the file is. Default: by the end of the path: .tar, .tar.gz, .tgz, .tar.zst or .zip.',
      })
      .optional(),
    header: z
      .strictObject({
        name: formed(
          64,
          matching(
            /^(Authorization|[Xx]-[A-Za-z0-9-]+|[A-Za-z0-9-]+-(Token|TOKEN|token|Key|KEY|key))$/,
            'must be Authorization, or begin with X-, or end with -Token or -Key, for example PRIVATE-TOKEN',
          ),
        )
          .default('Authorization')
          .meta({ description: 'Name of the header. Default Authorization. Example: PRIVATE-TOKEN' }),
        secretKeyRef: secretKeySchema(
          'the whole value of the header',
          'files-login',
          ` and the annotation ${hostsAnnotation}, which lists the host of the address`,
        ),
      })
      .meta({
        description:
          'A header that says who asks. It is sent to the host of the address, and to none that this leads to. Default: none.',
      })
      .optional(),
  })
  .superRefine((source, ctx) => {
    // What a pattern does not tell: an address of IPv6, a port.
    if (!URL.canParse(source.url))
      ctx.addIssue({ code: 'custom', path: ['url'], message: 'must be a valid address' });
    if (archiveOf(source) === undefined)
      ctx.addIssue({ code: 'custom', path: ['archive'], message: archiveMessage });
  })
  .meta({
    description: 'An archive of a web server.',
    ...cel({
      rule: "has(self.archive) || self.url.matches('^[^?]*[.](tar|tar[.]gz|tgz|tar[.]zst|zip)([?].*)?$')",
      message: `archive ${archiveMessage}`,
    }),
  });
/** A file of a web server. */
export type HttpSource = z.infer<typeof httpSourceSchema>;

/** What kind of archive a source is; undefined: neither it nor its address says that. */
export const archiveOf = ({
  url,
  archive,
}: {
  readonly url: string;
  readonly archive?: ArchiveKind | undefined;
}): ArchiveKind | undefined => {
  const [end] = archiveEnd.exec(url.replace(/\?.*$/, '')) ?? [];
  return archive ?? (end === '.tgz' ? 'tar.gz' : archives.find((one) => end === `.${one}`));
};

const hubSourceSchema = z
  .strictObject({
    repo: formed(
      193,
      matching(new RegExp(`^${hubName}/${hubName}$`), 'must be owner/name, for example team-a/sql-lora'),
      notMatching(/\.\.|--/, 'must not have ".." or "--"'),
    ).meta({ description: 'Repository of a model, as owner/name. Example: team-a/sql-lora' }),
    revision: formed(
      256,
      matching(
        /^[0-9a-f]{40}$/,
        'must be a commit, 40 lower-case hexadecimal digits, as a branch or a tag may move: `adaptlet digest hf://owner/name@main` prints the one that it has now',
      ),
    ).meta({ description: 'Commit of the repository, 40 hexadecimal digits.' }),
    subfolder: formed(1024, ...pathForm)
      .meta({ description: 'Folder of the repository. Default: its top. Example: checkpoints/final' })
      .optional(),
    tokenSecretKeyRef: secretKeySchema('the token', 'hub-token').optional(),
  })
  .meta({
    description:
      'A repository of the Hugging Face Hub, or of a server with its API that the administrator of the node set.',
  });
/** A repository of a hub. */
export type HubSource = z.infer<typeof hubSourceSchema>;

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
    http: httpSourceSchema.optional(),
    huggingFace: hubSourceSchema.optional(),
  },
  ['oci', 'path', 'http', 'huggingFace'],
  {
    example: 'oci: {image: registry.example/team-a/sql:v2}',
    description: 'Where the files of an adapter come from. Exactly one of oci, path, http, huggingFace.',
  },
);

/** Where the files of an adapter come from; exactly one member is present. */
export type Source = z.infer<typeof sourceSchema>;
export type OciSource = NonNullable<Source['oci']>;

/** The credential of a source that is no registry. */
export type SourceSecret = {
  /** Which source it is for, without what may be secret in an address. */
  readonly place: string;
  readonly ref: { readonly name: string; readonly key: string };
  /** Of the header. */
  readonly header: string;
  /** What the value in the Secret is. */
  readonly is: 'Header' | 'Token';
};

/** The credential that a source names; undefined: none, or that of a registry. */
export const sourceSecretOf = ({ http, huggingFace }: Source): SourceSecret | undefined => {
  if (http?.header !== undefined) {
    const { origin, pathname } = new URL(http.url);
    const { name: header, secretKeyRef: ref } = http.header;
    return { place: `${origin}${pathname}`, ref, header, is: 'Header' };
  }
  const ref = huggingFace?.tokenSecretKeyRef;
  if (huggingFace === undefined || ref === undefined) return undefined;
  return { place: `hf://${huggingFace.repo}`, ref, header: 'Authorization', is: 'Token' };
};

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
