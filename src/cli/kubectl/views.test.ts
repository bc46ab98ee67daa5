import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { type Digest, objectKey } from '../../api/names.ts';
import type { RolloutObject } from '../../api/objects.ts';
import { strategySchema } from '../../api/rollout.ts';
import type { RolloutStatus } from '../../api/rollout-status.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { KubeObject } from '../../kube/client/object.ts';
import type { RuntimeObject } from '../../operator/objects/objects.ts';
import { readRollout } from '../../operator/objects/read.ts';
import { aRuntimeObject, aRuntimeStatus } from '../../operator/testing/fake-fleet.ts';
import { seedOf } from '../../rollout/splitter.ts';
import { table } from '../table.ts';
import { completionsOf } from './completion.ts';
import { getCommand } from './get.ts';
import { listCommand } from './list.ts';
import { since } from './output.ts';
import { rolloutView } from './rollout-view.ts';
import { statusCommand, verdictOf } from './status.ts';
import { undo, undoTarget, verbCommands } from './verbs.ts';
import { assignmentOf } from './who-gets.ts';

const now = Date.parse('2026-03-01T12:00:00Z');
const digest = (digit: string) => `sha256:${digit.repeat(64)}` as Digest;
const bound = (adapter: string, digit: string) => ({ adapter, uid: `uid-${adapter}`, digest: digest(digit) });
const [v0, v1, v2] = [bound('sql-v0', '0'), bound('sql-v1', '1'), bound('sql-v2', '2')];
const canary = { ...v2, seed: seedOf('team-a', 'sql', v2.digest), attempt: 1 };

const status = (change: Partial<RolloutStatus> = {}): RolloutStatus => ({
  observedGeneration: 2,
  phase: 'Paused',
  revision: 7,
  message: 'step 2/4 waits until somebody promotes, canary at 20 %',
  stable: v1,
  canary,
  history: [v0],
  weights: { canary: 20, stable: 80, observedCanary: 19 },
  step: { index: 1, total: 4, hash: 'h', elapsedMs: 0, promoted: false },
  runtimes: { desired: 2, updated: 2, ready: 1, failed: 0, held: 1, offline: 1 },
  conditions: [],
  ...change,
});

const raw = (adapter: string, given: RolloutStatus | undefined, generation = 2): KubeObject => ({
  apiVersion: 'adaptlet.io/v1alpha1',
  kind: 'AdapterRollout',
  metadata: {
    namespace: 'team-a',
    name: 'sql',
    uid: 'uid-sql',
    resourceVersion: '9',
    generation,
    creationTimestamp: '2026-03-01T10:00:00Z',
  },
  spec: { adapter },
  ...(given === undefined ? {} : { status: given }),
});
const rollout = (adapter: string, given?: RolloutStatus, generation = 2): RolloutObject => {
  const { object, problems } = readRollout(raw(adapter, given, generation));
  if (object === undefined) throw new Error(JSON.stringify(problems));
  return object;
};

const runtime = (name: string, change: Partial<NonNullable<RuntimeObject['status']>>): RuntimeObject =>
  aRuntimeObject(objectKey('adaptlet-system', name), {}, { ...aRuntimeStatus(true), ...change });
const offline = { ...aRuntimeStatus(false), disconnectedAt: '2026-03-01T09:00:00Z' };

const plain = stripVTControlCharacters;

describe('the view of a rollout', () => {
  const here = (weight: number) => [{ rollout: 'team-a/sql', adapter: 'sql-v2', state: 'Resident', weight }];
  const runtimes = [
    runtime('node-1', { rollouts: here(20) }),
    runtime('node-2', { rollouts: here(0), heldRollouts: ['team-a/sql'] }),
    runtime('node-3', offline),
  ];

  it('shows a canary under way and how far each runtime is', () => {
    expect(plain(rolloutView(rollout('sql-v2', status()), runtimes, now))).toMatchSnapshot();
  });

  const following = here(3).map((one) => ({ ...one, follows: true }));
  const shownOf = (given: RolloutStatus, one: RuntimeObject): string =>
    plain(rolloutView(rollout('sql-v2', given), [one], now));

  it('has the weight of the rollout where a runtime follows it, of its group where there are groups', () => {
    const one = runtime('node-1', { rollouts: following });
    expect(shownOf(status(), one)).toMatch(/node-1 +Resident +20 %/);
    const group = {
      name: 'all',
      phase: 'Baking',
      hash: '',
      reach: 2 ** 48,
      weight: 100,
      step: 1,
      message: '',
    } as const;
    expect(shownOf({ ...status(), groups: [group] }, one)).toMatch(/node-1 +Resident +100 %/);
  });

  it('has the weight that was written where the runtime was just held or cordoned', () => {
    const one = runtime('node-1', { rollouts: following });
    for (const spec of [{ held: true }, { cordoned: true }])
      expect(shownOf(status(), { ...one, spec })).toMatch(/node-1 +Resident +3 %/);
  });

  it('has nothing of a runtime that was heard with another canary only', () => {
    const one = runtime('node-1', { rollouts: following.map((each) => ({ ...each, adapter: 'sql-v1' })) });
    expect(shownOf(status(), one)).toMatch(/node-1 +not reported yet *\n/);
  });

  it('names runtimes that failed, with the reason', () => {
    const counted = {
      desired: 10,
      updated: 10,
      ready: 9,
      failed: 1,
      held: 0,
      offline: 0,
      setAside: 1,
      notReady: 2,
    };
    const failures = [
      { runtime: 'edge/n1', reason: 'Refused' as const, message: 'ADAPTER_SHAPE: q_proj' },
      { runtime: 'edge/n2', reason: 'GuardTripped' as const, message: '5 errors' },
    ];
    const shown = plain(
      rolloutView(rollout('sql-v2', { ...status(), runtimes: counted, failures }), [], now),
    );
    expect(shown).toContain('0 offline, 2 not ready, 1 set aside\n');
    expect(shown).toContain(
      'Failures:   edge/n1: Refused, ADAPTER_SHAPE: q_proj\n            edge/n2: GuardTripped, 5 errors\n',
    );
  });

  it('has runtimes of pods of its namespace, while they are connected, and of no other', () => {
    const podOf = (namespace: string, name: string, connected: boolean): RuntimeObject =>
      aRuntimeObject(objectKey(namespace, name), {}, { ...aRuntimeStatus(connected), kind: 'Pod' });
    const pods = [
      podOf('team-a', 'app-1', true),
      podOf('team-a', 'app-2', false),
      podOf('team-b', 'app-3', true),
    ];
    const shown = plain(rolloutView(rollout('sql-v2', status()), [...runtimes, ...pods], now));
    expect(['node-3', 'app-1', 'app-2', 'app-3'].filter((name) => shown.includes(name))).toEqual([
      'node-3',
      'app-1',
    ]);
  });

  it('is in the README as it is', () => {
    const readme = readFileSync(join(import.meta.dirname, '../../../README.md'), 'utf8');
    const shown = plain(rolloutView(rollout('sql-v2', status()), runtimes, now));
    expect(readme).toContain(`$ kubectl adaptlet get rollout sql -n team-a\n${shown}\`\`\`\n`);
  });

  it('shows blue-green, and why it is Degraded', () => {
    const waiting = rollout(
      'sql-v2',
      status({
        phase: 'Degraded',
        message: 'no progress for 10m: waits until sql-v2 is Resident (RuntimesNotReady: 1 of 2)',
        weights: { canary: 0, stable: 100 },
        step: { index: 0, total: 3, hash: 'h', elapsedMs: 0, promoted: false },
      }),
    );
    const spec = { ...waiting.spec, strategy: { blueGreen: { autoPromotion: false } } };
    expect(plain(rolloutView({ ...waiting, spec }, [], now))).toMatchSnapshot();
  });

  it('shows what is mirrored to a canary, and what that found', () => {
    const mirrored = rollout(
      'sql-v2',
      status({
        weights: { canary: 0, stable: 100, mirror: 10 },
        mirror: {
          requests: 120,
          failed: 3,
          dropped: 5,
          compared: 110,
          equal: 0.918,
          similarity: 0.974,
          latencyRatio: 1.052,
        },
      }),
    );
    const spec = strategySchema.parse({ shadow: { duration: '1h' } });
    const shadow = { ...mirrored, spec: { ...mirrored.spec, strategy: spec } };
    expect(plain(rolloutView(shadow, runtimes, now))).toMatchSnapshot();
    const byChance = status({ mirror: { requests: 2, failed: 0, dropped: 0, compared: 0 } });
    expect(plain(rolloutView(rollout('sql-v2', byChance), [], now))).toContain(
      'Mirror:     2 copies, 0 failed, 0 dropped; none compared\n',
    );
  });

  it('shows a settled rollout with its former adapters', () => {
    const settled = rollout(
      'sql-v1',
      status({ phase: 'Healthy', message: 'sql-v1 serves', weights: { canary: 0, stable: 100 } }),
    );
    const { canary: _, step: __, ...rest } = settled.status ?? status();
    expect(plain(rolloutView({ ...settled, status: rest }, runtimes, now))).toMatchSnapshot();
  });

  it('says that nobody decided yet', () => {
    expect(plain(rolloutView(rollout('sql-v1'), [], now))).toContain('does an operator run?');
  });
});

describe('status for scripts', () => {
  const awaitingVerdict = status({
    message: 'metric errors: 12 requests, 100 are needed; canary at 20 %: promote goes on, abort gives it up',
  });
  it.each([
    [status({ phase: 'Healthy' }), 2, { done: true, exitCode: 0 }],
    [status({ phase: 'Degraded' }), 2, { done: true, exitCode: 1 }],
    [status({ phase: 'Paused' }), 2, { done: false, exitCode: 1 }],
    [
      awaitingVerdict,
      2,
      { done: false, exitCode: 1, text: expect.stringContaining('promote goes on') as string },
    ],
    [status({ phase: 'Healthy' }), 3, { done: false, exitCode: 1 }],
    [undefined, 1, { done: false, exitCode: 1 }],
  ])('waits, ends well or fails', (given, generation, verdict) => {
    expect(verdictOf(rollout('sql-v2', given, generation))).toMatchObject(verdict);
  });
});

describe('undo', () => {
  it('goes back to stable while a canary is under way', () => {
    expect(undoTarget(raw('sql-v2', status()))).toEqual({ adapter: 'sql-v1' });
  });
  it('goes back to the stable before when the rollout is settled', () => {
    expect(undoTarget(raw('sql-v1', status()))).toEqual({ adapter: 'sql-v0' });
  });
  it('goes back as many stables as it is told, by the numbers that the view shows', () => {
    const settled = status({ history: [v0, bound('sql-v00', '3')] });
    expect(undoTarget(raw('sql-v2', settled), 1)).toEqual({ adapter: 'sql-v0' });
    expect(undoTarget(raw('sql-v2', settled), 2)).toEqual({ adapter: 'sql-v00' });
    expect(plain(rolloutView(rollout('sql-v2', settled), [], now))).toMatch(/sql-v00@\S+ +former 2$/m);
  });
  it('refuses a revision that is not there, and says which are', () => {
    expect(undoTarget(raw('sql-v1', status()), 3)).toEqual({
      refusal: 'there is no revision 3 to go back to: 1 is sql-v0',
    });
  });
  it('refuses where nothing was before', () => {
    expect(undoTarget(raw('sql-v1', status({ history: [] })))).toMatchObject({
      refusal: expect.stringContaining('nothing served before') as string,
    });
  });
});

describe('an undo beside others who write', () => {
  /** A read each; the write after the last one is taken. */
  const undoneOver = async (reads: readonly KubeObject[]) => {
    const left = [...reads];
    const patches: unknown[] = [];
    const patch = (_type: unknown, _name: string, body: unknown): Promise<KubeObject> => {
      patches.push(body);
      const [next] = left;
      if (next === undefined) return Promise.resolve(raw('sql-v1', status()));
      return Promise.reject(new AdaptletError('KUBE_CONFLICT', 'the object has been modified'));
    };
    const get = () => Promise.resolve(left.shift() ?? raw('sql-v2', status()));
    const said = await undo({ get, patch }, 'sql', {}).catch((error: unknown) => error);
    return { said, patches };
  };
  const asRead = raw('sql-v2', status());

  it('goes on where only the status was written', async () => {
    const { said, patches } = await undoneOver([asRead, asRead, asRead]);
    expect(said).toBe('spec.adapter is sql-v1 again');
    expect(patches).toHaveLength(3);
  });
  it.each([
    ['was edited', raw('sql-v2', status(), 3)],
    ['has another stable', raw('sql-v3', status({ stable: v2 }))],
  ])('gives up where the rollout %s', async (_what, after) => {
    const { said, patches } = await undoneOver([asRead, after, after]);
    expect(said).toMatchObject({ code: 'KUBE_CONFLICT' });
    expect(patches).toHaveLength(1);
  });
  it('gives up where the status never rests', async () => {
    const { said, patches } = await undoneOver(Array.from({ length: 50 }, () => asRead));
    expect(said).toMatchObject({ code: 'KUBE_CONFLICT' });
    expect(patches).toHaveLength(10);
  });
});

describe('who-gets', () => {
  it('assigns about as many users to the canary as its weight says', () => {
    const users = Array.from({ length: 1000 }, (_, i) => `u${i}`);
    const arms = users.map((user) => assignmentOf(rollout('sql-v2', status()), { user }).arm);
    const share = arms.filter((arm) => arm === 'canary').length / users.length;
    expect(Math.abs(share - 0.2)).toBeLessThan(0.05);
  });
  it('names adapter and digest of the side', () => {
    expect(
      assignmentOf(rollout('sql-v2', status({ weights: { canary: 100, stable: 0 } })), {}),
    ).toMatchObject({
      arm: 'canary',
      adapter: 'sql-v2',
      digest: v2.digest,
    });
  });
  it('does not guess for a caller that nothing sticks to', () => {
    expect(assignmentOf(rollout('sql-v2', status()), {})).toMatchObject({ arm: 'none' });
  });
});

describe('completion', () => {
  const commands = [getCommand(), listCommand(), statusCommand(), ...verbCommands()];
  const known = {
    rollouts: ['sql', 'chat'],
    adapters: ['sql-v1'],
    analyses: ['checkout'],
    policies: ['default'],
    namespaces: ['team-a'],
  };
  const names = (kind: keyof typeof known) => Promise.resolve(known[kind]);
  it.each([
    [['pro'], ['promote']],
    [
      ['list', 'r'],
      ['rollouts', 'routes', 'runtimes'],
    ],
    [
      ['get', ''],
      ['rollout', 'analysis', 'policy'],
    ],
    [['get', 'analysis', 'c'], ['checkout']],
    [['get', 'apol', ''], ['default']],
    [
      ['list', 'a'],
      ['adapters', 'analyses'],
    ],
    [['get', 'rollout', 's'], ['sql']],
    [
      ['promote', ''],
      ['sql', 'chat'],
    ],
    [['promote', '--na'], ['--namespace']],
    [['promote', 'sql', '--fu'], ['--full']],
    [
      ['undo', 'sql', '--to'],
      ['--to', '--to-revision'],
    ],
    [['undo', 'sql', '--to-revision', ''], []],
    [
      ['pause', ''],
      ['sql', 'chat'],
    ],
    [['undo', 'sql', '--to', ''], ['sql-v1']],
    [['get', '-n', 'team-a', 'r'], ['rollout']],
    [['get', '--namespace=team-a', 'rollout', 'c'], ['chat']],
    [['promote', 'sql', ''], []],
    [['status', '-n', 't'], ['team-a']],
    [
      ['list', '-o', ''],
      ['json', 'yaml'],
    ],
    [['status', 'sql', '--timeout', ''], []],
    [['nonsense', ''], []],
  ])('offers what may come next after %j', async (words, offered) => {
    expect(await completionsOf(commands, words, names)).toEqual(offered);
  });
});

describe('tables and times', () => {
  it('print as kubectl prints them', () => {
    expect(
      table(
        ['NAME', 'PHASE'],
        [
          ['sql', 'Healthy'],
          ['assistant', ''],
        ],
      ),
    ).toBe('NAME        PHASE\nsql         Healthy\nassistant\n');
  });
  it.each([
    [5, '5s'],
    [125, '2m5s'],
    [1200, '20m'],
    [4 * 3600, '4h'],
    [3 * 86_400, '3d'],
  ])('%i seconds are %s', (seconds, text) => {
    expect(since(new Date(now - seconds * 1000).toISOString(), now)).toBe(text);
  });
});
