import { z } from 'zod';
import { conditionsSchema, generation, maxStatusMessage, time } from './condition.ts';
import { digestSchema } from './names.ts';
import { text } from './text.ts';

const bytes = (what: string) =>
  z
    .int()
    .min(0)
    .meta({ description: `${what}, in bytes.` });
/** Refused parts of the plan, and held rollouts, that a status names. */
export const maxNamed = 10;
/** Rollouts under way that a status names: the first by their names. */
export const maxUnderWay = 64;

const count = (what: string) => z.int().min(0).max(1_000_000).meta({ description: what });

const budget = (what: string) =>
  z
    .strictObject({ budgetBytes: bytes('Most that may be used'), usedBytes: bytes('What is used') })
    .meta({ description: what });

/** What `kubectl adaptlet enrol` writes. Hashes are of 32 random bytes, so that whoever reads them knows nothing. */
const deviceSchema = z
  .strictObject({
    id: text(64).meta({ description: 'Of this enrolment. Certificates name it: another one ends them.' }),
    tokenSha256: text(64).meta({ description: 'SHA-256 of the secret of the token, in hexadecimal.' }),
    tokenExpires: time.meta({ description: 'RFC 3339 time after which the token is nothing.' }),
    keySha256: text(64)
      .meta({ description: 'SHA-256 of the public key that used the token; written by the operator.' })
      .optional(),
    revoked: z
      .boolean()
      .meta({ description: 'True: its stream ends, and no certificate of it is accepted. Default false.' })
      .optional(),
  })
  .meta({ description: 'A device outside of the cluster, which shows a certificate in place of a token.' });
export type DeviceSpec = z.infer<typeof deviceSchema>;

/** No defaults: the operator applies an empty spec, and what people set stays theirs. */
export const runtimeSpecSchema = z
  .strictObject({
    cordoned: z
      .boolean()
      .meta({
        description:
          'True: it keeps and serves what it has, and gets nothing new: no Adapter ahead of requests, no canary, no stable that it does not have yet. Weights, aborts and rollbacks still reach it. Rollouts do not wait for it. Default false.',
      })
      .optional(),
    held: z
      .boolean()
      .meta({
        description:
          'True: nothing changes there until it is false again; only a canary that is given up or replaced goes, and a stable that is rolled back. Rollouts do not wait for it. Default false.',
      })
      .optional(),
    device: deviceSchema.optional(),
  })
  .meta({ description: 'What people ask of the runtime.' });
export type RuntimeSpec = z.infer<typeof runtimeSpecSchema>;

export const runtimeStatusSchema = z
  .strictObject({
    observedGeneration: generation
      .meta({ description: 'metadata.generation that this status is about.' })
      .optional(),
    kind: z.enum(['Node', 'Pod']).meta({
      description:
        'What it serves. Node: every pod of its node (DaemonSet). Pod: the pod that it is in (sidecar).',
    }),
    node: text(253).meta({ description: 'Name of the Node that it runs on.' }).optional(),
    pod: text(253).meta({ description: 'Name of the Pod that it runs in.' }).optional(),
    version: text(64).meta({ description: 'Version of Adaptlet that runs there.' }),
    baseModel: z
      .strictObject({
        name: text(128).meta({ description: 'Name of the base model.' }),
        digest: digestSchema
          .meta({ description: 'Digest of the files that decide its answers; absent until it is loaded.' })
          .optional(),
        manifestDigest: digestSchema
          .meta({ description: 'Digest of its OCI manifest, however it came to the node.' })
          .optional(),
        source: text(1024).meta({ description: 'Folder or oci:// reference that it comes from.' }).optional(),
      })
      .meta({ description: 'The base model that is loaded there.' }),
    executionProvider: text(128).meta({ description: 'What runs the graph. Example: CPUExecutionProvider' }),
    memory: budget('RAM for adapters.'),
    disk: budget('Disk for adapters.'),
    adapters: z
      .strictObject({
        known: count('Adapters that it knows.'),
        stored: count('On disk, digest verified.'),
        resident: count('In RAM, validated, ready for the next token.'),
        failed: count('Refused, or could not be fetched or loaded.'),
      })
      .meta({ description: 'Number of adapters in each state.' }),
    refused: z
      .array(
        z
          .strictObject({
            resource: text(512).meta({
              description: 'What was refused, for example: Route team-a/assistant',
            }),
            reason: text(maxStatusMessage).meta({ description: 'Why, for people.' }),
          })
          .meta({
            description:
              'A part of the plan that the runtime refused, so that its former version goes on; or a policy of which it does not know a field, so that it has no adapter of these namespaces.',
          }),
      )
      .max(maxNamed)
      .meta({
        description: 'Parts of the plan that it refused, at most 10.',
        'x-kubernetes-list-type': 'atomic',
      }),
    rollouts: z
      .array(
        z
          .strictObject({
            rollout: text(512).meta({ description: 'namespace/name of the AdapterRollout.' }),
            adapter: text(253).meta({ description: 'Adapter of the canary.' }),
            state: text(32).meta({ description: 'State of the canary there. Example: Resident' }),
            weight: z.int().min(0).max(100).meta({
              description:
                'Percent of requests that the canary gets there; 0 while it is not Resident or held. Where `follows` is true: when this was written.',
            }),
            follows: z
              .boolean()
              .meta({
                description:
                  'True: the runtime gives the canary what the rollout says, whatever `weight` was written last: a weight alone is not written here. Absent: `weight` says what it gets.',
              })
              .optional(),
          })
          .meta({ description: 'One rollout under way there.' }),
      )
      .max(maxUnderWay)
      .meta({
        description: 'Rollouts with a canary under way there, at most 64.',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['rollout'],
      })
      .optional(),
    heldRollouts: z.array(text(512)).max(maxNamed).meta({
      description: 'Rollouts (namespace/name) of which it holds the canary back, or stable; at most 10.',
      'x-kubernetes-list-type': 'atomic',
    }),
    connectedSince: time
      .meta({
        description:
          'RFC 3339 time since when it is shown as connected; a stream that comes back within 10 s changes nothing, nor does one within a minute while others of many come back.',
      })
      .optional(),
    disconnectedAt: time.meta({ description: 'RFC 3339 time when it went away.' }).optional(),
    conditions: conditionsSchema,
  })
  .meta({ description: 'What the runtime is, has and serves. Written by Adaptlet.' });
export type RuntimeObjectStatus = z.infer<typeof runtimeStatusSchema>;
