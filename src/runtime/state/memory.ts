import { join } from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';
import { digestSchema } from '../../api/names.ts';
import type { UserObject } from '../../api/objects.ts';
import { rolloutStatusSchema } from '../../api/rollout-status.ts';
import { type Kept, keptSchema, type keptToJson } from './kept.ts';
import { PlanFile } from './plan-file.ts';
import { StateFile } from './state-file.ts';
import { usesSchema } from './uses.ts';

const metaSchema = z.object({
  namespace: z.string(),
  name: z.string(),
  uid: z.string(),
  generation: z.int(),
  creationTimestamp: z.string(),
  annotations: z.record(z.string(), z.string()),
  labels: z.record(z.string(), z.string()),
});

/** Specs were checked when their file was read; the checksum says that they are still the same. */
const manifestSchema = z.custom<UserObject>(
  (value) =>
    z
      .object({
        kind: z.enum(['Adapter', 'AdapterRollout', 'AdapterRoute', 'AdapterAnalysis', 'AdapterPolicy']),
        metadata: metaSchema,
        spec: z.record(z.string(), z.unknown()),
      })
      .safeParse(value).success,
);

/** Last good objects of each manifest file, and the status of each rollout by `namespace/name`. */
export const standaloneSchema = z.object({
  files: z.record(z.string(), z.array(manifestSchema)),
  rollouts: z.record(z.string(), rolloutStatusSchema),
});
export type StandaloneMemory = z.infer<typeof standaloneSchema>;

/** Files of 0.1 knew holds of canaries only. */
const renamed = (value: unknown): unknown => {
  if (typeof value !== 'object' || value === null || !('canaryDigest' in value)) return value;
  const { canaryDigest: digest, ...rest } = value;
  return { digest, ...rest };
};

/** A digest that this node does not serve for a rollout any more: its guard tripped, or someone rolled it back here. */
export const holdSchema = z.preprocess(
  renamed,
  z.object({
    rolloutUid: z.string(),
    digest: digestSchema,
    /** What the digest was when it was held. */
    arm: z.enum(['stable', 'canary']).default('canary'),
    cause: z.enum(['Guard', 'BreakGlass']),
    reason: z.string(),
    at: z.string(),
    /** Of the canary: a higher one in the plan releases the hold. */
    attempt: z.int().min(1).default(1),
  }),
);
export type Hold = z.output<typeof holdSchema>;

const holdsSchema = z.object({ holds: z.array(holdSchema) });

/** How far the canary of a rollout came on this node. One record per rollout: of its last canary. */
const trialSchema = z.object({
  rolloutUid: z.string(),
  digest: digestSchema,
  attempt: z.int().min(1),
  /** OnTrial: the process that wrote it has it loaded, or loads it. Idle: nothing of it runs. */
  state: z.enum(['OnTrial', 'Idle', 'Committed']),
  /** Ends of the process without a shutdown, in a row, while it was OnTrial. */
  ends: z.int().min(0),
});
export type Trial = z.output<typeof trialSchema>;
const trialsSchema = z.object({ trials: z.array(trialSchema) });
/** Digest that the source of an Adapter (by uid) resolved to. */
const resolutionsSchema = z.object({ byUid: z.record(z.string(), digestSchema) });
/** Result of probe and smoke tests by key (adapter, graph, engine version, tests); keys are made by residency. */
const verdictsSchema = z.object({ passed: z.record(z.string(), z.string()) });

/** The connection to an operator: the highest number that it may have had, and names that requests asked for. */
const linkSchema = z.object({ reservedSeq: z.int().min(0), subscriptions: z.array(z.string()) });
export type LinkMemory = z.infer<typeof linkSchema>;

/** What the plan came from last: it is what a runtime that is told of nothing goes on with. */
const sourceSchema = z.object({ follows: z.enum(['manifests', 'operator']) });

/** What keys for tokens of sessions are made of on a node that follows a folder. Secret. */
const sessionsSchema = z.object({ secret: z.string().min(43) });

/** What the base model's reference was resolved to, and whether it was found damaged on the disk. */
const modelSchema = z.object({ reference: z.string(), digest: digestSchema, damaged: z.boolean() });
export type ModelMemory = z.infer<typeof modelSchema>;

/** Digest of the manifest of the base model in a folder, and the files that it is of. */
const modelFolderSchema = z.object({
  folder: z.string(),
  weightFiles: z.array(z.string()),
  stamps: z.array(z.string()),
  digest: digestSchema,
});
export type ModelFolderMemory = z.infer<typeof modelFolderSchema>;

const feedbackKey = z.string().regex(/^[0-9a-f]{64}$/);
/** What ids of answers are signed with: the key of this node, and those of operators. Secret. */
export const feedbackSchema = z.object({
  own: feedbackKey,
  given: z.array(z.object({ namespace: z.string(), key: feedbackKey })),
});

/** What is known of the time, in milliseconds since the epoch. */
const timeSchema = z.object({ atLeast: z.number().min(0), last: z.number().min(0) });
/** A device outside of the cluster of its operator. Secret: it has the key. */
export const deviceSchema = z.object({
  /** SHA-256 of the token that it is of. */
  token: z.string(),
  address: z.string(),
  /** Certificate of the authority for devices, in DER as base64. */
  authority: z.string(),
  namespace: z.string(),
  name: z.string(),
  /** PKCS #8 in PEM. */
  key: z.string(),
  /** PEM; '' while the token was not used. */
  certificate: z.string(),
  /** When it came, by the clock of this machine, and how long it holds; in milliseconds. */
  receivedAt: z.number(),
  lifetimeMs: z.number(),
});
export type DeviceMemory = z.infer<typeof deviceSchema>;

/** The state files of one runtime, below `<data folder>/state/`. */
export const memoryOf = (dataDir: string) => {
  const at = <T, Written = T>(name: string, schema: z.ZodType<T>) =>
    new StateFile<T, Written>(join(dataDir, 'state', name), schema);
  return {
    standalone: at('standalone.json', standaloneSchema),
    holds: at('holds.json', holdsSchema),
    trials: at('trials.json', trialsSchema),
    resolutions: at('resolutions.json', resolutionsSchema),
    verdicts: at('verdicts.json', verdictsSchema),
    source: at('source.json', sourceSchema),
    plan: new PlanFile(join(dataDir, 'state')),
    kept: at<readonly Kept[], ReturnType<typeof keptToJson>>('kept.json', keptSchema),
    link: at('link.json', linkSchema),
    feedback: at('feedback.json', feedbackSchema),
    time: at('time.json', timeSchema),
    device: at('device.json', deviceSchema),
    sessions: at('sessions.json', sessionsSchema),
    model: at('model.json', modelSchema),
    modelFolder: at('model-folder.json', modelFolderSchema),
    uses: at('uses.json', usesSchema),
  };
};
export type Memory = ReturnType<typeof memoryOf>;

/** What a runtime remembered, each part absent when there is none yet or its file was bad. */
export const recall = async (memory: Memory, logger: Pick<Logger, 'error'>) => {
  const valueOf = async <T>(file: Pick<StateFile<T>, 'read'>): Promise<T | undefined> => {
    const found = await file.read();
    if (found.kind === 'value') return found.value;
    if (found.kind === 'setAside') {
      logger.error(
        { reason: found.reason, setAside: found.setAside },
        'a state file was set aside; going on without it',
      );
    }
    return undefined;
  };
  const plan = await valueOf(memory.plan);
  for (const problem of plan?.problems ?? []) {
    logger.error({ problem }, 'a part of the plan on disk is damaged; the operator sends it again');
  }
  return {
    source: (await valueOf(memory.source))?.follows,
    plan: plan?.held,
    kept: (await valueOf(memory.kept)) ?? [],
    feedback: await valueOf(memory.feedback),
    time: await valueOf(memory.time),
    link: await valueOf(memory.link),
    device: await valueOf(memory.device),
    sessions: await valueOf(memory.sessions),
    model: await valueOf(memory.model),
    modelFolder: await valueOf(memory.modelFolder),
    uses: await valueOf(memory.uses),
    standalone: await valueOf(memory.standalone),
    holds: (await valueOf(memory.holds))?.holds ?? [],
    trials: (await valueOf(memory.trials))?.trials ?? [],
    resolutions: (await valueOf(memory.resolutions))?.byUid ?? {},
    verdicts: (await valueOf(memory.verdicts))?.passed ?? {},
  };
};
export type Recalled = Awaited<ReturnType<typeof recall>>;
