import { z } from 'zod';
import { objectKey } from '../../../../src/api/names.ts';
import { heldPlanSchema, heldPlanToJson, noHeldPlan } from '../../../../src/control/held-plan.ts';
import { adapter, adapters, at, planOf, route, split } from '../../../../src/control/plans.fixture.ts';
import { Receiver } from '../../../../src/control/receiver.ts';
import { resourceToWire } from '../../../../src/control/wire.ts';
import { checked, withChecksum } from '../../../../src/disk/checked.ts';
import {
  Hello,
  Identity_Kind,
  Report,
  SyncRequest,
  SyncResponse,
} from '../../../../src/gen/adaptlet/control/v1/control.ts';
import { changeFromWire, refusedFromWire, within } from '../../../../src/operator/fleet/update.ts';
import { readHello } from '../../../../src/operator/sync/hello.ts';
import { type Plan, versioned, versionOf } from '../../../../src/plan/resources.ts';
import { directoryOf } from '../../../../src/runtime/callers/directory.ts';
import { policyResource } from '../../../../src/runtime/callers/policies.fixture.ts';
import { buildTable } from '../../../../src/runtime/routing/table.ts';
import { keptSchema, keptToJson } from '../../../../src/runtime/state/kept.ts';
import {
  deviceSchema,
  feedbackSchema,
  holdSchema,
  standaloneSchema,
} from '../../../../src/runtime/state/memory.ts';
import { silentLog } from '../../../../src/telemetry/log.fixture.ts';
import { FakeClock } from '../../../../src/time/fake-clock.ts';
import { texts } from '../examples.ts';
import { protobuf } from '../mutators/protobuf.ts';
import { checkedState } from '../mutators/state.ts';
import { must, type Target, textOf } from '../target.ts';

const plan = planOf(
  ...adapters(3),
  adapter('v1', { source: { oci: { image: 'registry.example/team-a/sql:v1' } } }),
  split('sql', { weight: 10 }),
  route('assistant', { targets: ['a-0', 'a-1'], fallback: ['v1'] }),
  policyResource('team-a', { apiKeys: [{ name: 'k', sha256: 'a'.repeat(64) }] }),
);
const held = { clusterUid: 'c', revision: at(7), resources: [...plan.values()], removals: [] };

/** Everything that is done with a plan before a request comes. */
const use = (used: Plan): void => {
  for (const resource of used.values())
    must(versionOf(resource.body) === resource.version, `${resource.name} has not the version that it says`);
  directoryOf(buildTable(used, { name: 'tiny' }), silentLog);
};

/** A file that says nothing good is set aside; only what shows that it was read is stated. */
const isUnreadable = (error: unknown): boolean =>
  error instanceof SyntaxError ||
  error instanceof z.ZodError ||
  (error instanceof Error && /checksum/.test(error.message));

/** As it lies on the disk: JSON has one zero. */
const written = (file: Parameters<typeof heldPlanToJson>[0]): string => JSON.stringify(heldPlanToJson(file));

const planFile: Target = {
  name: 'plan-file',
  reads: 'src/control/held-plan.ts, disk/checked.ts',
  examples: () => texts(withChecksum(heldPlanToJson(held))),
  mutators: [checkedState],
  codes: [],
  throws: isUnreadable,
  run: (bytes) => {
    const { held: read, problems } = heldPlanSchema.parse(checked(textOf(bytes)));
    const again = heldPlanSchema.parse(checked(withChecksum(heldPlanToJson(read))));
    must(
      again.problems.length === 0 && written(again.held) === written(read),
      'written again, it is another plan',
    );
    const receiver = new Receiver({ held: read, clock: new FakeClock() });
    receiver.hello();
    use(receiver.plan);
    return `${Math.min(problems.length, 4)} problems`;
  },
};

const bound = { adapter: 'v1', uid: 'uid-v1', digest: `sha256:${'a'.repeat(64)}` };

const stateSchemas = [
  keptSchema,
  standaloneSchema,
  deviceSchema,
  z.object({ holds: z.array(holdSchema) }),
  feedbackSchema,
] as const;

const stateFiles: Target = {
  name: 'state-files',
  reads: 'src/runtime/state',
  examples: () =>
    texts(
      ...[
        keptToJson([
          {
            rollout: objectKey('team-a', 'sql'),
            uid: 'u',
            bound: bound as never,
            adapter: versioned(adapter('v1')),
          },
        ]),
        { files: { 'a.yaml': [] }, rollouts: {} },
        { holds: [{ rolloutUid: 'u', canaryDigest: bound.digest, cause: 'Guard', reason: 'x', at: 'now' }] },
        {
          token: 't',
          address: 'a:1',
          authority: '',
          namespace: 'n',
          name: 'n',
          key: '',
          certificate: '',
          receivedAt: 0,
          lifetimeMs: 1,
        },
        { own: 'a'.repeat(64), given: [{ namespace: 'team-a', key: 'b'.repeat(64) }] },
      ].map(withChecksum),
    ),
  mutators: [checkedState],
  codes: [],
  throws: isUnreadable,
  run: (bytes) => {
    const value = checked(textOf(bytes));
    const read = stateSchemas.map((schema) => schema.safeParse(value));
    for (const each of read) if (each.success) JSON.stringify(each.data);
    return read.map(({ success }) => (success ? 1 : 0)).join('');
  },
};

/** What gRPC answers with INTERNAL: the bytes are no message. */
class Undecodable extends Error {}
const decoded = <T>(type: { decode: (bytes: Uint8Array) => T }, bytes: Uint8Array): T => {
  try {
    return type.decode(bytes);
  } catch (cause) {
    throw new Undecodable('no message', { cause });
  }
};
const isUndecodable = (error: unknown): boolean => error instanceof Undecodable;

const response = (message: SyncResponse['message']): Uint8Array => SyncResponse.encode({ message }).finish();

const toRuntime: Target = {
  name: 'sync-response',
  reads: 'src/control/receiver.ts, wire.ts',
  examples: () => [
    ...[...plan.values()].map((resource) => response({ $case: 'put', value: resourceToWire(resource) })),
    response({ $case: 'remove', value: 'AdapterSpec team-a/a-1' }),
    response({ $case: 'commit', value: { nonce: 2n, revision: at(9), confirmedRemovals: '' } }),
    response({
      $case: 'welcome',
      value: {
        clusterUid: 'c',
        replica: 'r',
        readsHeldHash: true,
        reportsKept: undefined,
        reportLike: undefined,
        feedbackKeys: [],
      },
    }),
  ],
  mutators: [protobuf],
  codes: ['CLUSTER_UNTRUSTED'],
  throws: isUndecodable,
  run: (bytes) => {
    const { message } = decoded(SyncResponse, bytes);
    const receiver = new Receiver({ held: { ...noHeldPlan, ...held }, clock: new FakeClock() });
    receiver.hello();
    receiver.welcome(message?.$case === 'welcome' ? message.value.clusterUid : 'c');
    if (message?.$case === 'put') receiver.put(message.value);
    if (message?.$case === 'remove') receiver.remove(message.value);
    const first = receiver.commit({ nonce: 1n, revision: at(8), confirmedRemovals: '' });
    must(first.outcome === 'Applied', 'a good commit was refused');
    if (message?.$case === 'commit') receiver.commit(message.value);
    use(receiver.plan);
    const refused = first.outcome === 'Applied' ? first.refused.length : 0;
    return `${message?.$case} ${refused}`;
  },
};

const request = (message: SyncRequest['message']): Uint8Array => SyncRequest.encode({ message }).finish();
const digest = bound.digest;

const hello = Hello.encode({
  protocol: 1,
  identity: { namespace: 'adaptlet-system', name: 'node-1', kind: Identity_Kind.NODE },
  instance: 'i',
  connectionSeq: 3n,
  version: '0.1.0',
  baseModel: 'tiny',
  baseDigest: digest,
  executionProvider: 'cpu',
  labels: { zone: 'a' },
  clusterUid: 'c',
  revision: at(7),
  held: [{ key: 'AdapterSpec team-a/a-0', version: 'a'.repeat(16) }],
  heldHash: Buffer.alloc(32, 1),
  subscriptions: ['team-a/x'],
  maxRank: 256,
  policyFields: ['signatures', 'sources.urls'],
  peerAddress: '10.0.0.1:9446',
}).finish();

const buckets = (first: number): number[] => [first, ...Array.from({ length: 63 }, () => 0)];
const arm = {
  requests: buckets(9),
  errors: buckets(1),
  logLatency: buckets(4),
  logLatencySquares: 2,
  latencyMs: 9,
  latencyFirst: 3,
  latencyCounts: [4, 5],
  feedbacks: buckets(2),
  rewards: buckets(1),
  rewardSquares: 1,
};

const report = Report.fromPartial({
  whole: true,
  adapters: [
    {
      key: 'team-a/a-0',
      uid: 'u',
      digest,
      state: 'Resident',
      rank: 8,
      storedBytes: 7n,
      targetModules: ['q_proj'],
    },
  ],
  gone: ['team-a/b'],
  rollouts: [
    {
      key: 'team-a/sql',
      uid: 'u',
      stableDigest: digest,
      canaryDigest: digest,
      attempt: 1,
      weight: 10,
      holds: [{ digest, cause: 'Guard', reason: 'x', attempt: 1 }],
      counts: [
        {
          weight: 10,
          seq: 1n,
          stable: arm,
          canary: arm,
          rewarded: { knownFrom: 8, from: 8, bits: Buffer.of(5) },
        },
      ],
      elsewhere: [
        { origin: Buffer.alloc(8, 1), weight: 10, seq: 1n, numbers: [3], sides: [5], rewards: [0.5] },
      ],
      mirror: { percentage: 10, requests: 9n, compared: 4n, equal: 3n, similarity: 3.5 },
    },
  ],
  memory: { budgetBytes: 9n, usedBytes: 1n },
  ready: true,
  message: 'x',
  removalsHeld: { count: 2, fingerprint: 'f', remainingMs: 9n },
  limits: [{ namespace: 'team-a', limit: 'requests', refused: 1n }],
});

const fromRuntime: Target = {
  name: 'sync-request',
  reads: 'src/operator/sync/hello.ts, fleet/update.ts',
  examples: () => [
    request({ $case: 'hello', value: Hello.decode(hello) }),
    request({ $case: 'report', value: report }),
    request({
      $case: 'ack',
      value: { nonce: 1n, refused: [{ key: 'Split team-a/sql', version: 'a', reason: 'x' }] },
    }),
    request({ $case: 'subscribe', value: { names: ['team-a/x'] } }),
  ],
  mutators: [protobuf],
  codes: ['HELLO_INVALID'],
  throws: isUndecodable,
  run: (bytes) => {
    const { message } = decoded(SyncRequest, bytes);
    const about = {
      key: objectKey('adaptlet-system', 'node-1'),
      kind: 'Node',
      instance: 'i',
      connectionSeq: 1n,
    } as const;
    if (message?.$case === 'hello') readHello(message.value);
    if (message?.$case === 'report') {
      const change = changeFromWire(message.value);
      const { change: own } = within('team-a', { ...about, change });
      for (const [key] of own?.adapters ?? [])
        must(key.startsWith('team-a/'), `${key} is of another namespace`);
      for (const { counts, mirror } of own?.rollouts.values() ?? []) JSON.stringify({ counts, mirror });
    }
    if (message?.$case === 'ack')
      within('team-a', { ...about, refused: refusedFromWire(message.value.refused) });
    return String(message?.$case);
  },
};

export const controlTargets: readonly Target[] = [planFile, stateFiles, toRuntime, fromRuntime];
