import type { Digest, ObjectKey } from '../../api/names.ts';
import { objectKey } from '../../api/names.ts';
import type { RuntimeObjectStatus } from '../../api/runtime.ts';
import { noRevision } from '../../control/revision.ts';
import { isSameDecisive } from '../fleet/decisive.ts';
import type {
  AdapterState,
  Fleet,
  FleetChange,
  RolloutState,
  RuntimeKey,
  RuntimeState,
} from '../fleet/fleet.ts';
import { isSameProcess } from '../fleet/update.ts';
import type { RuntimeObject } from '../objects/objects.ts';
import { scopeOf } from '../objects/scope.ts';

/** For tests: runtimes of which a test says what they report. */
export class FakeFleet implements Fleet {
  readonly #states = new Map<RuntimeKey, RuntimeState>();
  readonly #listeners = new Set<(change: FleetChange) => void>();

  get(key: RuntimeKey): RuntimeState | undefined {
    return this.#states.get(key);
  }
  all(): Iterable<RuntimeState> {
    return this.#states.values();
  }
  onChange(listener: (change: FleetChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Reports, and says what of it is new. */
  report(key: RuntimeKey, more: Partial<RuntimeState> = {}): void {
    const before = this.#states.get(key);
    const state = { ...(before ?? aRuntimeState(key)), ...more };
    this.#states.set(key, state);
    const rollouts = changedKeys(state.rollouts, before?.rollouts);
    const isDecisive = (rollout: ObjectKey): boolean =>
      !isSameDecisive(state.rollouts.get(rollout), before?.rollouts.get(rollout));
    const change: FleetChange = {
      runtime: key,
      scope: scopeOf(state.kind, key),
      connection:
        before === undefined ||
        before.connected !== state.connected ||
        before.ready !== state.ready ||
        !isSameProcess(before, state),
      opened: before?.connectionSeq !== state.connectionSeq,
      adapters: changedKeys(state.adapters, before?.adapters),
      rollouts,
      decisive: new Set([...rollouts].filter(isDecisive)),
      routes: changedKeys(state.classifiers ?? new Map(), before?.classifiers),
      acknowledged: before?.acknowledged !== state.acknowledged || before.refused !== state.refused,
    };
    for (const listener of this.#listeners) listener(change);
  }

  forget(key: RuntimeKey): void {
    const { kind = 'Node', connected = true, adapters = new Map() } = this.#states.get(key) ?? {};
    const scope = scopeOf(kind, key);
    this.#states.delete(key);
    const none = new Set<ObjectKey>();
    const change = {
      runtime: key,
      scope,
      connection: connected,
      opened: false,
      adapters: new Set(adapters.keys()),
      rollouts: none,
      decisive: none,
      routes: none,
      acknowledged: true,
    };
    for (const listener of this.#listeners) listener(change);
  }
}

const changedKeys = (
  now: ReadonlyMap<ObjectKey, unknown>,
  then: ReadonlyMap<ObjectKey, unknown> | undefined,
): ReadonlySet<ObjectKey> =>
  new Set([...now.keys(), ...(then?.keys() ?? [])].filter((key) => now.get(key) !== then?.get(key)));

/** Of `edge`, unless the name has a namespace itself. */
export const runtimeKey = (name: string): RuntimeKey => {
  const [namespace = '', rest] = name.split('/');
  return rest === undefined ? objectKey('edge', name) : objectKey(namespace, rest);
};

const budget = { budgetBytes: 1000, usedBytes: 0 };

export const aRuntimeState = (key: RuntimeKey, more: Partial<RuntimeState> = {}): RuntimeState => ({
  key,
  kind: 'Node',
  instance: `instance-${key}`,
  connectionSeq: 1n,
  connected: true,
  connectedAt: 1_700_000_000_000,
  info: {
    version: '0.1.0',
    baseModel: 'tiny',
    baseDigest: '',
    executionProvider: 'CPUExecutionProvider',
    node: key.slice(key.indexOf('/') + 1),
    pod: '',
    ownerUid: '',
    maxRank: 256,
  },
  ready: true,
  message: '',
  memory: budget,
  disk: budget,
  adapters: new Map(),
  rollouts: new Map(),
  acknowledged: noRevision,
  refused: new Map(),
  ...more,
});

export const anAdapterState = (
  uid: string,
  digest: Digest | '',
  state: string,
  more: Partial<AdapterState> = {},
): AdapterState => ({
  uid,
  digest,
  state,
  reason: '',
  message: '',
  isFinal: false,
  inTurn: false,
  storedBytes: 0,
  residentBytes: 0,
  neededBytes: 0,
  rank: 0,
  targetModules: [],
  ...more,
});

export const aRolloutState = (uid: string, more: Partial<RolloutState> = {}): RolloutState => ({
  uid,
  stableDigest: '',
  canaryDigest: '',
  attempt: 0,
  weight: 0,
  effectiveWeight: 0,
  served: { stable: 0, canary: 0 },
  holds: [],
  counts: [],
  ...more,
});

/** The AdapterRuntime of a runtime; with a status it is written as connected. */
export const aRuntimeObject = (
  key: RuntimeKey,
  labels: Readonly<Record<string, string>> = {},
  status?: RuntimeObjectStatus,
  spec: RuntimeObject['spec'] = {},
): RuntimeObject => {
  const [namespace = '', name = ''] = key.split('/');
  return {
    kind: 'AdapterRuntime',
    metadata: {
      namespace,
      name,
      uid: `uid-${name}`,
      generation: 1,
      creationTimestamp: '2026-01-01T00:00:00Z',
      annotations: {},
      labels,
    },
    spec,
    ...(status === undefined ? {} : { status }),
  };
};

export const aRuntimeStatus = (connected: boolean): RuntimeObjectStatus => ({
  kind: 'Node',
  version: '0.1.0',
  baseModel: { name: 'tiny' },
  executionProvider: 'CPUExecutionProvider',
  memory: budget,
  disk: budget,
  adapters: { known: 0, stored: 0, resident: 0, failed: 0 },
  refused: [],
  heldRollouts: [],
  conditions: [
    {
      type: 'Connected',
      status: connected ? 'True' : 'False',
      reason: connected ? 'Connected' : 'Disconnected',
      message: '',
      lastTransitionTime: '2026-01-01T00:00:00.000Z',
    },
  ],
});
