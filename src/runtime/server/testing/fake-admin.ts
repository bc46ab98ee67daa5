import { type ObjectKey, objectKey } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Admin, RolloutVerb } from '../../admin/admin.ts';
import type { LoraVerbs } from '../../admin/lora.ts';
import type { RolloutView, RuntimeStatus } from '../../admin/views.ts';
import type { PressureView } from '../../pressure/memory-pressure.ts';
import type { AdapterView } from '../../residency/adapter-view.ts';
import type { Explanation } from '../../routing/explain.ts';
import type { RequestContext } from '../../routing/request.ts';
import { fakeDigest } from './fake-serving.ts';

export const fakePressure: PressureView = {
  phase: 'short',
  level: 'the memory limit of /sys/fs/cgroup',
  limitBytes: 4000,
  usedBytes: 3900,
  adapterBudgetBytes: 600,
  adapterFullBytes: 1000,
  kvBudgetBytes: 300,
  kvFullBytes: 1000,
  shrinks: 3,
  refused: 2,
  kills: 1,
};

/** Admin that writes down what it was told. One adapter `default/upper`, one rollout `default/sql`. */
export class FakeAdmin implements Admin {
  readonly told: string[] = [];
  /** Absent: requests load no adapters. */
  lora?: LoraVerbs;
  pinned = false;
  held = false;

  async explain(context: RequestContext): Promise<Explanation> {
    this.told.push(`explain ${context.namespace}/${context.model} ${context.prompt?.text ?? 'no text'}`);
    const conditions = [{ text: 'user in [u1]', verdict: 'no', given: 'u2' } as const];
    return {
      kind: 'route',
      route: 'default/assistant',
      rules: [{ name: 'medical', verdict: 'no', matches: [{ verdict: 'no', conditions }] }],
      labels: [{ classifier: 'intent', label: 'a', score: 0.5, margin: 0.25, doubt: 'why', scores: [] }],
      rule: '',
      candidates: [{ kind: 'base', text: 'the base model' }],
    };
  }

  status(): RuntimeStatus {
    return {
      version: '0.1.0',
      instance: 'i1',
      uptimeMs: 1234.5,
      baseModel: 'tiny',
      baseDigest: fakeDigest('b'),
      model: {
        source: 'oci://registry/tiny:v1',
        state: 'Downloading',
        reason: '',
        message: 'the base model is being downloaded: 1 of 2 MiB',
        manifestDigest: fakeDigest('c'),
        receivedBytes: 1 << 20,
        totalBytes: 2 << 20,
        bytesPerSecond: 1.5,
      },
      engine: 'ready',
      executionProvider: 'CPUExecutionProvider',
      loraOperator: 'avx2',
      refusedProviders: [{ provider: 'CUDAExecutionProvider', reason: 'no device' }],
      operators: {},
      limits: [],
      keysAndValues: {
        precision: 'int8',
        bytesPerToken: 100,
        budgetBytes: 1000,
        requests: 2,
        tokens: 5,
        because: '',
      },
      memory: { budgetBytes: 1000, usedBytes: 100 },
      memoryPressure: fakePressure,
      shortages: [{ flag: '--kv-memory', effect: 'requests wait', neededBytes: 3000, budgetBytes: 2000 }],
      disk: { budgetBytes: 2000, usedBytes: 200 },
      manifests: {
        folder: 'manifests',
        state: 'Applied',
        problems: [{ file: 'a.yaml', line: 3, reason: 'bad' }],
      },
      operator: {
        address: 'operator:9443',
        state: 'connected',
        since: '2026-01-01T00:00:00Z',
        lastError: '',
        replica: 'operator-0',
        clusterUid: 'c1',
        revision: '1/2/3/4',
        refused: [{ key: 'Route default/x', version: 'v', reason: 'bad' }],
        removalsHeld: { count: 9, remainingMs: 1500.5 },
        notSaved: '',
      },
      adapters: [this.#adapter()],
      rollouts: [this.#rollout()],
      routes: [{ key: objectKey('default', 'assistant'), model: 'assistant', accepted: true, message: '' }],
    };
  }

  async preload(key: ObjectKey, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.told.push(`preload ${key}`);
  }

  async pin(key: ObjectKey, pinned: boolean): Promise<void> {
    this.told.push(`pin ${key} ${pinned}`);
    this.pinned = pinned;
  }

  async evict(key: ObjectKey, _signal: AbortSignal, { evenPinned } = { evenPinned: true }): Promise<void> {
    if (this.held) throw new AdaptletError('VERB_REFUSED', `${key} is what a rollout serves`);
    if (this.pinned && !evenPinned) throw new AdaptletError('VERB_REFUSED', `${key} is pinned`);
    this.told.push(`evict ${key}`);
  }

  async rollout(key: ObjectKey, verb: RolloutVerb): Promise<RolloutView> {
    if (key !== 'default/sql') throw new AdaptletError('MODEL_NOT_FOUND', `no rollout ${key}`);
    this.told.push(`${verb} ${key}`);
    return this.#rollout();
  }

  async trustCluster(): Promise<void> {
    this.told.push('trustCluster');
  }

  async confirmRemovals(): Promise<number> {
    this.told.push('confirmRemovals');
    return 7;
  }

  #adapter(): AdapterView {
    return {
      key: objectKey('default', 'upper'),
      digest: fakeDigest('a'),
      state: 'Resident',
      serves: true,
      reason: '',
      message: '',
      pinned: this.pinned,
      priority: -5,
      references: 1,
      storedBytes: 50,
      residentBytes: 100,
      neededBytes: 100,
      rank: 8,
      targetModules: ['q_proj', 'v_proj'],
    };
  }

  #rollout(): RolloutView {
    return {
      key: objectKey('default', 'sql'),
      phase: 'Progressing',
      message: '',
      stable: 'upper',
      canary: 'upper-v2',
      step: '2/6',
      weight: 20,
      effectiveWeight: 10,
      served: { stable: 80, canary: 20 },
      held: '',
    };
  }
}
