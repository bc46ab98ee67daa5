import { z } from 'zod';
import { hostPattern } from '../egress/host-pattern.ts';
import { repositoryPrefixForm } from './image.ts';
import { labelNameSchema } from './names.ts';
import { parseQuantity } from './quantity.ts';
import { selectorSchema } from './selector.ts';
import { signaturesSchema } from './signatures.ts';
import { hubPrefixForm, pathForm, urlPrefixForm } from './source.ts';
import { formed, line, matching, type Requirement, text } from './text.ts';
import { duplicatesOf, repeatsOf } from './unique.ts';

/** The name that the policy of a namespace has: there is one. */
export const policyName = 'default';

const quantitySchema = formed(32, {
  ...matching(
    /^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$/,
    'must be a quantity of bytes such as 256Mi, 1.5Gi or 500M, less than 8Pi',
  ),
  holds: (value) => {
    try {
      return parseQuantity(value) >= 0;
    } catch {
      return false;
    }
  },
});

/** What others never take away, and what is never passed. */
const shareOf = <S extends z.ZodType>(amount: S, what: string, example: string) =>
  z
    .strictObject({
      guarantee: amount
        .meta({
          description: `${what} that no other namespace takes away. Example: ${example}. Default none.`,
        })
        .optional(),
      limit: amount
        .meta({ description: `${what} that is never passed. Example: ${example}. Default none.` })
        .optional(),
    })
    .meta({ description: `${what}, on each node.` })
    .optional();

const wholeNumber = z.int().min(0).max(1_000_000_000);

export const limitsSchema = z
  .strictObject({
    adapterMemory: shareOf(quantitySchema, 'RAM of adapters', '256Mi'),
    adapterDisk: shareOf(quantitySchema, 'Disk of adapters with their compiled files', '2Gi'),
    kvMemory: shareOf(quantitySchema, 'Memory of keys and values', '512Mi'),
    requests: shareOf(wholeNumber, 'Requests that are answered at the same time', '4'),
    tokensPerMinute: wholeNumber
      .meta({
        description:
          'Tokens that a node computes for the namespace in a minute: one for each token of a prompt, two for each of an answer. There is no guarantee of them: requests.guarantee says what the namespace is sure to compute with. Default no limit.',
      })
      .optional(),
    adapters: wholeNumber
      .meta({
        description:
          'Adapters of the namespace that count, the oldest first. There is no guarantee of them: adapterMemory and adapterDisk are what they need. Default no limit.',
      })
      .optional(),
  })
  .meta({ description: 'How much the namespace may use, and what it is sure to have.' });
/** @public */
export type PolicyLimits = z.infer<typeof limitsSchema>;

/**
 * Rights beyond asking for the names of the namespace. `Users`: says for which user, session and tenant it asks, as a
 * gateway does; without it the credential is the user. `Priority`: a priority above 0. `Namespaces`: names of all
 * namespaces. `Lifecycle`: loads and unloads adapters through the data ports. `Hints`: proposes an adapter, which rules may
 * match.
 */
export const rights = ['Users', 'Priority', 'Namespaces', 'Lifecycle', 'Hints'] as const;
export type Right = (typeof rights)[number];

/** Rights that a key out of a Secret may carry: what a namespace gives itself ends at its border. */
const secretRights = ['Users', 'Priority', 'Lifecycle', 'Hints'] as const satisfies readonly Right[];

const grantedShape = {
  rights: z.array(z.enum(rights)).max(rights.length).superRefine(repeatsOf).default([]).meta({
    description:
      "Rights beyond asking for the names of the namespace. Users: may say for which user, session and tenant it asks, as a gateway does. Priority: may ask with a priority above 0. Namespaces: may ask for namespace/name of other namespaces; only in the policy of the operator's namespace. Lifecycle: may load and unload adapters of the namespace. Hints: may propose an adapter (x-adaptlet-adapter-hint), which rules of routes may match. Default none.",
    'x-kubernetes-list-type': 'set',
  }),
  tenant: line(256)
    .meta({ description: 'Tenant that its requests count for. Default: the namespace. Example: acme' })
    .optional(),
};

export const apiKeySchema = z
  .strictObject({
    name: labelNameSchema.meta({
      description: 'Name of the key, unique in the policy; logs and metrics have it. Example: mobile-app',
    }),
    sha256: formed(
      64,
      matching(/^[0-9a-f]{64}$/, 'must be 64 lower-case hexadecimal digits: `adaptlet key` prints them'),
    ).meta({
      description: 'SHA-256 of the key; `adaptlet key` makes both. The key itself is nowhere in the cluster.',
    }),
    expires: text(40)
      .regex(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$/, {
        error: 'must be a time in UTC such as 2027-01-31T00:00:00Z',
      })
      .meta({ description: 'From when on it is refused. Default never. Example: 2027-01-31T00:00:00Z' })
      .optional(),
    from: z
      .array(line(64))
      .min(1)
      .max(32)
      .meta({
        description: 'Addresses that it is taken from, as CIDRs. Default any. Example: 10.0.0.0/8',
        'x-kubernetes-list-type': 'set',
      })
      .optional(),
    ...grantedShape,
  })
  .meta({ description: 'A key that callers send as `Authorization: Bearer`.' });
export type ApiKey = z.infer<typeof apiKeySchema>;

const issuerSchema = z
  .strictObject({
    name: labelNameSchema.meta({
      description: 'Name of the issuer, unique in the policy. Example: keycloak',
    }),
    issuer: line(512).meta({
      description: 'What `iss` of a token must be. Example: https://keycloak.example/realms/team-a',
    }),
    audiences: z.array(line(256)).min(1).max(16).meta({
      description: 'One of which `aud` of a token must have. Example: adaptlet',
      'x-kubernetes-list-type': 'set',
    }),
    jwks: text(65_536).meta({
      description:
        'Its public keys as a JSON Web Key Set. Tokens are verified by these alone, without asking the issuer. Example: {"keys": []}',
    }),
    subjects: z
      .array(line(512))
      .min(1)
      .max(256)
      .meta({
        description:
          'Values of `sub` that are taken. Default: all. Example: system:serviceaccount:team-a:app',
        'x-kubernetes-list-type': 'set',
      })
      .optional(),
    userClaim: line(128).default('sub').meta({ description: 'Claim that names the user. Default sub.' }),
    tenantClaim: line(128).meta({ description: 'Claim that names the tenant. Default none.' }).optional(),
    ...grantedShape,
  })
  .meta({ description: 'An issuer of JSON Web Tokens: OIDC, or the API server for its ServiceAccounts.' });

const certificateSchema = z
  .strictObject({
    name: labelNameSchema.meta({ description: 'Name of the client, unique in the policy. Example: gateway' }),
    commonName: line(256).meta({
      description:
        'Common name of its certificate, which a CA of `--client-ca` signed. Example: gateway.team-a',
    }),
    ...grantedShape,
  })
  .meta({ description: 'A client by its TLS certificate.' });

/** The API server takes no two of one name, and merges what several managers apply. */
const namedList = { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] };

export const clientsSchema = z
  .strictObject({
    anonymous: z.enum(['Allow', 'Deny']).default('Deny').meta({
      description:
        'Whether callers without a credential may ask for the names of this namespace. Default Deny.',
    }),
    apiKeys: z
      .array(apiKeySchema)
      .max(256)
      .superRefine(duplicatesOf('name'))
      .default([])
      .meta({
        description: 'Keys, at most 256.',
        ...namedList,
      }),
    // Without defaults, which the API server would write into every policy: an earlier operator knows neither field.
    keysFromSecrets: z
      .enum(['Allow', 'Deny'])
      .meta({
        description:
          'Whether Secrets of the namespace with the label adaptlet.io/api-keys: "true" have keys of callers besides, in namespaces whose Secrets the operator may read (credentials.namespaces of the chart). Default Deny.',
      })
      .optional(),
    rightsFromSecrets: z
      .array(z.enum(secretRights))
      .max(secretRights.length)
      .superRefine(repeatsOf)
      .meta({
        description: 'The most rights that such a key may have. Default none.',
        'x-kubernetes-list-type': 'set',
      })
      .optional(),
    issuers: z
      .array(issuerSchema)
      .max(16)
      .superRefine(duplicatesOf('name'))
      .default([])
      .meta({
        description: 'Issuers of tokens, at most 16.',
        ...namedList,
      }),
    certificates: z
      .array(certificateSchema)
      .max(256)
      .superRefine(duplicatesOf('name'))
      .default([])
      .meta({
        description: 'Clients by their certificates, at most 256.',
        ...namedList,
      }),
  })
  .meta({ description: 'Who may ask for the names of the namespace.' });

const allowList = (form: readonly Requirement[], what: string, example: string) =>
  z
    .array(formed(512, ...form))
    .max(64)
    .superRefine(repeatsOf)
    .meta({
      description: `${what} An empty list: none. Default: not limited. Example: ${example}`,
      'x-kubernetes-list-type': 'set',
    })
    .optional();

export const policySpecSchema = z
  .strictObject({
    clients: clientsSchema.prefault({}),
    limits: limitsSchema.prefault({}),
    sources: z
      .strictObject({
        registries: allowList(
          repositoryPrefixForm,
          'Registries, or the beginnings of their repositories, that adapters may come from, compared by whole parts between slashes.',
          'registry.example/team-a',
        ),
        paths: allowList(
          pathForm,
          'Folders below the import roots of a node that adapters may come from, with all that is in them.',
          'team-a',
        ),
        urls: allowList(
          urlPrefixForm,
          'Web servers, or the beginnings of their paths, that adapters of http sources may come from, compared by whole parts between slashes. Absent where registries or paths is there: none.',
          'https://files.example/team-a',
        ),
        huggingFace: allowList(
          hubPrefixForm,
          'Owners, or repositories as owner/name, of the Hugging Face Hub that adapters may come from. Absent where registries or paths is there: none.',
          'team-a',
        ),
        metricHosts: allowList(
          [
            matching(
              hostPattern,
              'must be a host in lower case such as prometheus.monitoring.svc, prometheus:9090 or *.example',
            ),
          ],
          'Hosts that the metrics of rollouts may come from, of those that the operator may ask: host (HTTPS at port 443), host:port, host:* (every port) or *.domain. A server without TLS at port 80 is host:80.',
          'prometheus.monitoring.svc:9090',
        ),
      })
      .prefault({})
      .meta({ description: 'Where adapters of the namespace, and metrics of its rollouts, may come from.' }),
    // Optional for the same reason as keysFromSecrets.
    signatures: signaturesSchema.optional(),
    base: z.enum(['Allow', 'Deny']).default('Allow').meta({
      description: 'Whether the base model without an adapter answers for this namespace. Default Allow.',
    }),
    runtimes: z
      .strictObject({
        pods: z.enum(['Allow', 'Deny']).default('Deny').meta({
          description: 'Whether pods of the namespace may be runtimes, as sidecars are. Default Deny.',
        }),
        // Optional for the same reason as keysFromSecrets.
        nodes: selectorSchema
          .meta({
            description:
              'Labels of the runtimes of nodes that serve the namespace: its adapters, rollouts and routes are on no other, and rollouts wait for no other. Default: all nodes.',
          })
          .optional(),
      })
      .prefault({})
      .meta({ description: 'What may be a runtime of the namespace.' }),
  })
  .meta({
    description:
      'What a namespace may use, who may ask for its names, and where its adapters may come from. Written by the administrator; the one in the namespace of the operator holds for namespaces without one.',
  });
export type PolicySpec = z.infer<typeof policySpecSchema>;
