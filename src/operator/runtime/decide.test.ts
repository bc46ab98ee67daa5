import { describe, expect, it } from 'vitest';
import { kstatusOf } from '../../api/kstatus.fixture.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import { objectKey } from '../../api/names.ts';
import { type RuntimeObjectStatus, runtimeStatusSchema } from '../../api/runtime.ts';
import type { ModelProgress, RuntimeState } from '../fleet/fleet.ts';
import type { ModelVerdict } from '../fleet/model-census.ts';
import { anAdapterState, aRolloutState, aRuntimeState, runtimeKey } from '../testing/fake-fleet.ts';
import { changeOf, decideRuntime, type RuntimeInput } from './decide.ts';

const now = '2026-01-01T00:00:00.000Z';
const later = '2026-01-01T01:00:00.000Z';

const decide = (
  state: RuntimeState | undefined,
  before?: RuntimeObjectStatus,
  more: Partial<RuntimeInput> = {},
): RuntimeObjectStatus | undefined =>
  decideRuntime({
    namespace: 'edge',
    name: 'a',
    generation: 1,
    before,
    state,
    isSilent: false,
    underWay: [],
    verdict: undefined,
    spec: {},
    isNodeCordoned: false,
    now,
    ...more,
  });
const here = (more: Partial<RuntimeState> = {}): RuntimeState => aRuntimeState(runtimeKey('a'), more);
const written = (more: Partial<RuntimeState> = {}): RuntimeObjectStatus => {
  const status = decide(here(more));
  if (status === undefined) throw new Error('nothing was decided');
  return runtimeStatusSchema.parse(JSON.parse(JSON.stringify(status)));
};
const conditionIn = (status: RuntimeObjectStatus | undefined, type: string) =>
  status?.conditions.find((condition) => condition.type === type);

describe('the status of a runtime', () => {
  it('says what it is, has and serves', () => {
    const adapters = new Map(
      ['Resident', 'Stored', 'Remote', 'Failed'].map((state, index) => [
        objectKey('team-a', `v${index}`),
        anAdapterState(`uid-${index}`, fakeDigest('1'), state),
      ]),
    );
    const hold = { digest: fakeDigest('2'), cause: 'Guard', reason: 'errors', attempt: 1 } as const;
    const rollouts = new Map([[objectKey('team-a', 'sql'), aRolloutState('uid', { holds: [hold] })]]);
    const info = { ...here().info, baseDigest: fakeDigest('b') };
    expect(decide(here({ adapters, rollouts, info }))).toMatchObject({
      kind: 'Node',
      node: 'a',
      baseModel: { name: 'tiny', digest: fakeDigest('b') },
      adapters: { known: 4, stored: 2, resident: 1, failed: 1 },
      heldRollouts: ['team-a/sql'],
      connectedSince: '2023-11-14T22:13:20.000Z',
    });
  });

  it('is written anew only when use moved by more than five percent of the budget', () => {
    const before = written();
    const used = (usedBytes: number) => here({ memory: { budgetBytes: 1000, usedBytes } });
    expect(decide(used(50), before)).toBe(before);
    expect(decide(used(51), before)).toMatchObject({ memory: { usedBytes: 51 } });
    expect(changeOf(before, decide(used(51), before) ?? before)).toBe('Observation');
  });

  it('brings the exact use along with anything else', () => {
    const memory = { budgetBytes: 1000, usedBytes: 3 };
    const next = decide(here({ memory, ready: false, message: 'loads' }), written());
    expect(next).toMatchObject({ memory: { usedBytes: 3 } });
    expect(changeOf(written(), next ?? written())).toBe('Decision');
  });

  it('is connected since it was shown so: another stream of it alone is nothing to write', () => {
    const before = written();
    expect(decide(here({ connectedAt: 1_700_000_400_000, connectionSeq: 9n }), before)).toBe(before);
    const away = decide(here({ connected: false, disconnectedAt: 1_700_000_100_000 }), before);
    expect(decide(here({ connectedAt: 1_700_000_400_000 }), away)).toMatchObject({
      connectedSince: '2023-11-14T22:20:00.000Z',
    });
  });

  it('keeps times of transitions', () => {
    const next = decide(here({ ready: false, message: 'loads' }), written(), { now: later });
    expect(conditionIn(next, 'Ready')).toMatchObject({ status: 'False', lastTransitionTime: later });
    expect(conditionIn(next, 'Connected')).toMatchObject({ status: 'True', lastTransitionTime: now });
  });

  it('is read by kstatus as done while it serves, else as on its way', () => {
    const read = (state: RuntimeState) => kstatusOf(1, decide(state, written()) ?? { conditions: [] });
    expect(read(here())).toBe('Current');
    expect(read(here({ ready: false, message: 'loads' }))).toBe('InProgress');
    expect(read(here({ connected: false }))).toBe('InProgress');
    expect(written()).toMatchObject({ observedGeneration: 1 });
  });

  it('names refusals, at most ten, within the bounds of the CRD', () => {
    const refused = new Map(
      Array.from({ length: 30 }, (_, i) => [`Route team-a/r${i}`, `${'🙂'.repeat(3000)}${i}`]),
    );
    const status = written({ refused });
    expect(status.refused).toHaveLength(10);
    expect(conditionIn(status, 'InSync')).toMatchObject({
      status: 'False',
      message: expect.stringMatching(/and 20 more/),
    });
    expect(decide(here({ refused }), status)).toBe(status);
  });

  it('tells what a runtime is not sent from what it refuses', () => {
    const withheld = [
      'Policy team-a/default',
      'not enforced there: this version does not know spec.signatures',
    ];
    const refused = new Map([withheld] as [string, string][]);
    expect(conditionIn(written({ refused }), 'InSync')).toMatchObject({
      status: 'False',
      reason: 'NotEnforced',
      message: expect.stringMatching(
        /all of Policy team-a\/default, and has no adapter of these namespaces; upgrade it/,
      ),
    });
    expect(written({ refused }).refused).toEqual([{ resource: withheld[0], reason: withheld[1] }]);
    const both = new Map([...refused, ['Route team-a/r', 'no']]);
    expect(conditionIn(written({ refused: both }), 'InSync')).toMatchObject({
      reason: 'Refused',
      message: expect.stringMatching(/^it refuses Route team-a\/r; .*upgrade it$/),
    });
  });

  it('shows the command that lets held removals happen, as one shell word', () => {
    const held = { count: 70, fingerprint: 'f1; rm -rf /', remainingMs: 1000 };
    const message = conditionIn(written({ removalsHeld: held }), 'RemovalsHeld')?.message;
    expect(message).toContain(
      'kubectl -n edge annotate adr a adaptlet.io/confirm-removals=f1__rm_-rf__ --overwrite',
    );
    expect(
      decide(here({ removalsHeld: { ...held, remainingMs: 1 } }), written({ removalsHeld: held })),
    ).toEqual(written({ removalsHeld: held }));
  });
});

describe('the base model of a runtime', () => {
  const model = (more: Partial<ModelProgress> = {}): ModelProgress => ({
    source: 'oci://registry/tiny:v1',
    state: 'Downloading',
    reason: '',
    message: '312 of 724 MiB',
    manifestDigest: fakeDigest('c'),
    receivedBytes: 312,
    totalBytes: 724,
    refusedProviders: [],
    operators: {},
    limits: [],
    ...more,
  });
  const read = (state: RuntimeState, verdict?: ModelVerdict) =>
    decide(state, undefined, { verdict })?.conditions.map((c) => `${c.type}=${c.status} ${c.reason}`) ?? [];

  it.each([
    [model(), 'ModelReady=False Downloading'],
    [model({ state: 'Waiting', reason: 'REGISTRY_UNAVAILABLE' }), 'ModelReady=False FetchFailed'],
    [model({ state: 'Loading' }), 'ModelReady=False Loading'],
    [model({ state: 'Ready', message: '' }), 'ModelReady=True Loaded'],
    [model({ state: 'SomethingNewer' }), 'ModelReady=False Loading'],
    [model({ state: 'constructor' }), 'ModelReady=False Loading'],
  ])('is a condition: %j', (progress, wanted) => {
    expect(read(here({ model: progress }))).toContain(wanted);
  });

  it('is no condition of a runtime whose version does not tell', () => {
    expect(read(here()).join()).not.toContain('Model');
  });

  it('is an observation while it comes, and a decision when it is there', () => {
    const before = written({ model: model() });
    const next = decide(here({ model: model({ message: '400 of 724 MiB' }) }), before);
    expect(changeOf(before, next ?? before)).toBe('Observation');
    const there = decide(here({ model: model({ state: 'Ready', message: '' }) }), before);
    expect(changeOf(before, there ?? before)).toBe('Decision');
    expect(there?.baseModel).toMatchObject({
      source: 'oci://registry/tiny:v1',
      manifestDigest: fakeDigest('c'),
    });
  });

  it('that is another one than that of most is said with both digests', () => {
    const info = { ...here().info, baseDigest: fakeDigest('a') };
    const state = here({ info, model: model({ state: 'Ready' }) });
    const verdict: ModelVerdict = { kind: 'Other', digest: fakeDigest('b'), manifest: fakeDigest('d') };
    const status = decide(state, undefined, { verdict });
    const { message = '' } = conditionIn(status, 'ModelMatches') ?? {};
    for (const letter of ['a', 'b', 'c', 'd']) expect(message).toContain(fakeDigest(letter));
    expect(conditionIn(status, 'Ready')?.status).toBe('True');
    expect(read(state, { kind: 'Divided', builds: 2 })).toContain('ModelMatches=False NoMajority');
    expect(read(state, { kind: 'Same' })).toContain('ModelMatches=True SameModel');
  });

  it('keeps what was said of it while it is too early to compare', () => {
    const verdict: ModelVerdict = { kind: 'Divided', builds: 2 };
    const before = decide(here(), undefined, { verdict });
    expect(conditionIn(decide(here({ ready: false, message: 'x' }), before), 'ModelMatches')).toEqual(
      conditionIn(before, 'ModelMatches'),
    );
  });
});

describe('a runtime that is away', () => {
  it('keeps what it had, with the time when it left', () => {
    const before = written();
    const gone = here({ connected: false, disconnectedAt: Date.parse(now) });
    const status = decide(gone, before, { now: later });
    expect(status).toMatchObject({ ...before, disconnectedAt: now, conditions: expect.anything() });
    expect(status?.conditions.map((c) => `${c.type}=${c.status}`)).toEqual([
      'Connected=False',
      'Ready=Unknown',
      'InSync=Unknown',
      'RemovalsHeld=Unknown',
      'Cordoned=False',
      'Held=False',
    ]);
    expect(decide(gone, status, { now: later })).toBe(status);
    expect(decide(undefined, status, { now: later })).toBe(status);
  });

  it('comes back without the time when it left', () => {
    const gone = decide(here({ connected: false, disconnectedAt: 0 }), written());
    expect(decide(here(), gone, { now })).not.toHaveProperty('disconnectedAt');
  });

  it('is not said to be away while a new leader waits for its report', () => {
    const before = written();
    expect(decide(undefined, before, { isSilent: true })).toBe(before);
    expect(conditionIn(decide(undefined, before), 'Connected')?.status).toBe('False');
  });

  it('has no status before anything is known of it', () => {
    expect(decide(undefined)).toBeUndefined();
  });
});

describe('what people ask of a runtime', () => {
  it('is told with the time since when: cordoned by them, or with its Node', () => {
    const before = written();
    expect(conditionIn(before, 'Cordoned')).toMatchObject({ status: 'False', reason: 'NotCordoned' });
    const byNode = decide(here(), before, { isNodeCordoned: true, now: later });
    expect(conditionIn(byNode, 'Cordoned')).toMatchObject({
      status: 'True',
      reason: 'NodeCordoned',
      lastTransitionTime: later,
      message: 'Node a is cordoned: it keeps and serves what it has, and gets nothing new',
    });
    const bySpec = decide(here(), byNode, { spec: { cordoned: true }, isNodeCordoned: true });
    expect(conditionIn(bySpec, 'Cordoned')).toMatchObject({
      reason: 'CordonedBySpec',
      lastTransitionTime: later,
    });
  });

  it('keeps the revision at which it was held', () => {
    const acknowledged = { adapters: 3n, rollouts: 7n, routes: 1n, runtimes: 2n, policies: 4n };
    const held = decide(here({ acknowledged }), written(), { spec: { held: true }, now: later });
    const condition = conditionIn(held, 'Held');
    expect(condition).toMatchObject({ status: 'True', lastTransitionTime: later });
    expect(condition?.message).toContain(
      'at the revision adapters 3, rollouts 7, routes 1, runtimes 2, policies 4',
    );
    const newer = { ...acknowledged, rollouts: 9n };
    const still = decide(here({ acknowledged: newer }), held, { spec: { held: true } });
    expect(conditionIn(still, 'Held')).toEqual(condition);
    expect(conditionIn(decide(here(), still), 'Held')).toMatchObject({ status: 'False', reason: 'NotHeld' });
  });

  it('is told of one that is away as well, and changes nothing else', () => {
    const gone = here({ connected: false, disconnectedAt: Date.parse(now) });
    const away = decide(gone, written());
    const cordoned = decide(gone, away, { spec: { cordoned: true }, now: later });
    expect(conditionIn(cordoned, 'Cordoned')).toMatchObject({ status: 'True', lastTransitionTime: later });
    expect(cordoned).toEqual({ ...away, conditions: cordoned?.conditions });
    expect(decide(gone, away)).toBe(away);
  });
});

describe('the execution provider of a runtime', () => {
  const cuda = { provider: 'CUDAExecutionProvider', reason: 'Failed to load shared library' };
  const on = (executionProvider: string, more: Partial<ModelProgress> = {}): RuntimeState =>
    here({
      info: { ...here().info, executionProvider },
      model: {
        source: '/m',
        state: 'Ready',
        reason: '',
        message: '',
        receivedBytes: 0,
        totalBytes: 0,
        manifestDigest: '',
        refusedProviders: [],
        operators: {},
        limits: [],
        ...more,
      },
    });
  const read = (state: RuntimeState) => conditionIn(decide(state), 'ProviderReady');

  it('is ready when it is what was asked for, with what it leaves to the CPU', () => {
    const operators = { CPUExecutionProvider: 31, OpenVINOExecutionProvider: 33 };
    expect(read(on('OpenVINOExecutionProvider', { operators, refusedProviders: [cuda] }))).toMatchObject({
      status: 'True',
      reason: 'ProviderInUse',
      message:
        'OpenVINOExecutionProvider runs the base model; 33 operators on OpenVINOExecutionProvider, 31 on CPUExecutionProvider; passed over: CUDAExecutionProvider (Failed to load shared library)',
    });
    expect(read(on('CPUExecutionProvider'))).toMatchObject({ status: 'True', reason: 'ProviderInUse' });
  });

  it('is not ready when the CPU runs the base model in its place, with the cause', () => {
    expect(read(on('CPUExecutionProvider', { refusedProviders: [cuda] }))).toMatchObject({
      status: 'False',
      reason: 'Fallback',
      message: expect.stringContaining('CUDAExecutionProvider (Failed to load shared library)'),
    });
  });

  it('says what is not done with the base model, and nothing where everything is', () => {
    const of = (state: RuntimeState) => conditionIn(decide(state), 'ModelLimited');
    const limits = ['rows run one at a time: the graph compares lengths', 'prompts end at 2,048 tokens'];
    const limited = on('CPUExecutionProvider', { limits });
    expect(of(limited)).toMatchObject({ status: 'True', reason: 'NotShown', message: limits.join('; ') });
    expect(of(on('CPUExecutionProvider'))).toBeUndefined();
    expect(conditionIn(decide(on('CPUExecutionProvider'), decide(limited)), 'ModelLimited')).toBeUndefined();
    expect(of(on('CPUExecutionProvider', { state: 'Loading', limits }))).toBeUndefined();
  });

  it('is not known before the base model is loaded, nor of a runtime that does not tell, nor of one that is away', () => {
    expect(read(on('', { state: 'Loading' }))).toBeUndefined();
    expect(read(here())).toBeUndefined();
    const before = decide(on('CPUExecutionProvider', { refusedProviders: [cuda] }));
    const away = decide({ ...on('CPUExecutionProvider'), connected: false }, before);
    expect(conditionIn(away, 'ProviderReady')).toMatchObject({ status: 'Unknown', reason: 'Disconnected' });
  });
});
