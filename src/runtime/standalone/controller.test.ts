import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { type Digest, type ObjectKey, objectKey } from '../../api/names.ts';
import { parseManifests } from '../../api/parse.ts';
import type { Plan, SplitResource } from '../../plan/resources.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import type { StandaloneMemory } from '../state/memory.ts';
import { StandaloneController } from './controller.ts';
import type { AdapterState } from './facts.ts';
import { mergeScan } from './folder-state.ts';

const digestOf = (name: string) => `sha256:${Buffer.from(name).toString('hex').padEnd(64, '0')}` as Digest;
const adapter = (name: string) =>
  `apiVersion: adaptlet.io/v1alpha1\nkind: Adapter\nmetadata: {name: ${name}}\nspec:\n  baseModel: tiny\n  source: {path: {path: ${name}}}\n---\n`;
const rollout = (
  name: string,
  steps = '{setWeight: 20}, {pause: {duration: 1m}}, {setWeight: 60}, {pause: {}}',
) =>
  `apiVersion: adaptlet.io/v1alpha1\nkind: AdapterRollout\nmetadata: {name: sql}\nspec:\n  adapter: ${name}\n  strategy: {canary: {steps: [${steps}]}}\n`;
const sql = objectKey('default', 'sql');

/** A node whose adapters are in the states that `states` says. */
const make = (remembered?: StandaloneMemory, failing = { write: false }) => {
  const clock = new FakeClock();
  const states = new Map<string, Partial<AdapterState>>();
  const holds: { digest: Digest; attempt: number; reason: string }[] = [];
  const written: StandaloneMemory[] = [];
  let plan: Plan = new Map();
  /** What is done within it besides. */
  const inApply = { run: (): void => undefined };
  const uids = new Map<ObjectKey, string>();
  const controller = new StandaloneController(
    {
      clock,
      logger: pino({ enabled: false }),
      runtime: { baseModel: 'tiny', labels: {} },
      memory: {
        write: async (value) => {
          if (failing.write) throw new Error('ENOSPC');
          written.push(value);
        },
      },
      node: {
        adapter: (key) => {
          const name = key.split('/')[1] ?? '';
          const state = states.get(name);
          if (state === undefined) return undefined;
          return {
            uid: uids.get(key) ?? '',
            digest: digestOf(name),
            state: 'Resident',
            serves: (state.state ?? 'Resident') === 'Resident',
            reason: '',
            message: '',
            ...state,
          };
        },
        holds: () => holds,
        reports: () => new Map(),
        fits: () => ({ fits: true, message: '', unknown: [] }),
      },
      measure: () => Promise.reject(new Error('no server answers')),
      apply: (next) => {
        plan = next;
        uids.clear();
        for (const r of next.values()) if (r.type === 'AdapterSpec') uids.set(r.name, r.body.uid);
        inApply.run();
      },
    },
    remembered,
  );
  let uid = 0;
  const folder = (files: Record<string, string>) => {
    const scanned = Object.entries(files).map(([file, text]) => ({ file, text }));
    const parse = (text: string, file: string) => parseManifests(text, file, { defaultNamespace: 'default' });
    const identity = { newUid: () => `uid-${++uid}`, now: '2026-01-01T00:00:00Z' };
    controller.folderChanged(
      mergeScan(controller.files, scanned, parse, identity, (m) => controller.inUse(m)),
      'm',
    );
    controller.reconcile();
  };
  const split = () => (plan.get(`Split ${sql}`) as SplitResource | undefined)?.body;
  return { clock, states, holds, written, controller, folder, split, plan: () => plan, inApply };
};

const settledOn = (name: string, failing?: { write: boolean }) => {
  const node = make(undefined, failing);
  node.states.set('a', {}).set('b', {});
  node.folder({ 'a.yaml': adapter('a') + adapter('b'), 'r.yaml': rollout(name) });
  node.controller.reconcile();
  return node;
};

describe('the standalone controller', () => {
  it('lets the first adapter serve once it is resident', () => {
    const node = make();
    node.folder({ 'a.yaml': adapter('a'), 'r.yaml': rollout('a') });
    expect(node.split()).toMatchObject({ weight: 0 });
    expect(node.split()?.stable).toBeUndefined();
    node.states.set('a', {});
    node.controller.reconcile();
    node.controller.reconcile();
    expect(node.split()?.stable).toMatchObject({ adapter: 'a', digest: digestOf('a') });
  });

  it('runs the steps of a canary in time, and waits at a pause without end', async () => {
    const node = settledOn('a');
    node.folder({ 'a.yaml': adapter('a') + adapter('b'), 'r.yaml': rollout('b') });
    expect(node.split()).toMatchObject({ weight: 20, canary: { adapter: 'b' } });
    for (let second = 0; second < 61; second++) {
      node.clock.advance(1000);
      node.controller.reconcile();
    }
    expect(node.split()).toMatchObject({ weight: 60 });
    node.clock.advance(3_600_000);
    node.controller.reconcile();
    expect(node.split()).toMatchObject({ weight: 60 });
    await node.controller.request(sql, 'promote');
    expect(node.split()).toMatchObject({ weight: 0, stable: { adapter: 'b' } });
  });

  it('counts a canary that takes turns in RAM with others as ready', () => {
    const node = settledOn('a');
    node.states.set('b', { state: 'Compiled', serves: true });
    node.folder({ 'a.yaml': adapter('a') + adapter('b'), 'r.yaml': rollout('b') });
    expect(node.split()).toMatchObject({ weight: 20, canary: { adapter: 'b' } });
  });

  it.each([
    ['years ahead', 50 * 365 * 86_400_000],
    ['to 1970', 0],
  ])('takes nothing for it when the clock of the machine jumps %s', (_, to) => {
    const node = settledOn('a');
    node.folder({ 'a.yaml': adapter('a') + adapter('b'), 'r.yaml': rollout('b') });
    node.clock.advance(30_000);
    node.controller.reconcile();
    node.clock.set(to === 0 ? 0 : node.clock.now() + to);
    node.controller.reconcile();
    expect(node.split()).toMatchObject({ weight: 20, stable: { adapter: 'a' }, canary: { adapter: 'b' } });
    node.clock.advance(29_000);
    node.controller.reconcile();
    expect(node.split()).toMatchObject({ weight: 20 });
    node.clock.advance(2_000);
    node.controller.reconcile();
    expect(node.split()).toMatchObject({ weight: 60, canary: { adapter: 'b' } });
  });

  it('skips all remaining steps when somebody promotes the canary fully', async () => {
    const node = settledOn('a');
    node.folder({ 'a.yaml': adapter('a') + adapter('b'), 'r.yaml': rollout('b') });
    expect(node.split()).toMatchObject({ weight: 20 });
    const { status } = await node.controller.request(sql, 'promote-full');
    expect(status).toMatchObject({ phase: 'Healthy', completionStatus: 'FastPromoted' });
    expect(node.split()).toMatchObject({ weight: 0, stable: { adapter: 'b' } });
  });

  it('is Degraded when the canary does not come in time, and serves stable all along', () => {
    const node = settledOn('a');
    node.states.delete('b');
    node.folder({ 'a.yaml': adapter('a') + adapter('b'), 'r.yaml': rollout('b') });
    for (let half = 0; half < 21; half++) {
      node.clock.advance(30_000);
      node.controller.reconcile();
    }
    expect(node.controller.rolloutOf(sql).status).toMatchObject({
      phase: 'Degraded',
      message: expect.stringContaining('no progress for 10m') as string,
    });
    expect(node.split()).toMatchObject({ weight: 0, stable: { adapter: 'a' } });
  });

  it('refuses a verb that does not apply, with the reason', async () => {
    const node = settledOn('a');
    await expect(node.controller.request(sql, 'promote')).rejects.toMatchObject({ code: 'VERB_REFUSED' });
    await expect(node.controller.request(objectKey('default', 'none'), 'promote')).rejects.toMatchObject({
      code: 'MODEL_NOT_FOUND',
    });
  });

  it('takes all weight from a canary that is held', () => {
    const node = settledOn('a');
    node.folder({ 'a.yaml': adapter('a') + adapter('b'), 'r.yaml': rollout('b') });
    node.holds.push({ digest: digestOf('b'), attempt: 1, reason: 'guard' });
    node.controller.reconcile();
    expect(node.split()).toMatchObject({ weight: 0, stable: { adapter: 'a' } });
    expect(node.controller.rolloutOf(sql).status).toMatchObject({ phase: 'Degraded' });
  });

  it('compiles the same plan again from what it remembered', () => {
    const node = settledOn('a');
    node.folder({ 'a.yaml': adapter('a') + adapter('b'), 'r.yaml': rollout('b') });
    const again = make(structuredClone(node.written.at(-1)));
    const meaning = (plan: Plan) =>
      [...plan.values()].map(({ name, body }) => ({ name, body: { ...body, revision: 0 } }));
    // Nothing is resident yet after a restart: the plan is the same all the same.
    again.controller.reconcile();
    expect(meaning(again.plan())).toEqual(meaning(node.plan()));
    again.states.set('a', {}).set('b', {});
    again.controller.reconcile();
    expect(meaning(again.plan())).toEqual(meaning(node.plan()));
  });

  it('goes on with a plan that could not be written, and writes it with the next change', () => {
    const failing = { write: true };
    const node = settledOn('a', failing);
    expect(node.split()?.stable).toMatchObject({ adapter: 'a' });
    expect(node.written).toEqual([]);
    failing.write = false;
    node.folder({ 'a.yaml': adapter('a') + adapter('b'), 'r.yaml': rollout('b') });
    expect(node.written.length).toBeGreaterThan(0);
  });

  it('says whether the disk has the plan that it puts in force, and writes again what that refused', async () => {
    const failing = { write: false };
    const node = settledOn('a', failing);
    const asked: Promise<readonly [isSaved: boolean, canary: string | undefined]>[] = [];
    const canaryOnDisk = () => node.written.at(-1)?.rollouts[sql]?.canary?.adapter;
    const ask = async () => [await node.controller.saved(), canaryOnDisk()] as const;
    node.inApply.run = () => void asked.push(ask());
    const files = (name: string) => ({ 'a.yaml': adapter('a') + adapter('b'), 'r.yaml': rollout(name) });
    node.folder(files('b'));
    expect(new Set(await Promise.all(asked))).toEqual(new Set([[true, 'b']]));
    asked.length = 0;
    failing.write = true;
    node.folder(files('a'));
    expect(new Set(await Promise.all(asked))).toEqual(new Set([[false, 'b']]));
    failing.write = false;
    expect(await ask()).toEqual([true, undefined]);
  });

  it('keeps a removed Adapter that its rollout serves', () => {
    const node = settledOn('a');
    node.folder({ 'r.yaml': rollout('a') });
    expect(node.plan().has('AdapterSpec default/a')).toBe(true);
    expect(node.plan().has('AdapterSpec default/b')).toBe(false);
    node.folder({ 'r.yaml': '# none\n' });
    expect([...node.plan().keys()]).toEqual([]);
  });

  it('changes nothing when the folder cannot be read', () => {
    const node = settledOn('a');
    const before = [...node.plan()];
    node.controller.folderChanged({ unreadable: 'ENOENT' }, 'm');
    expect([...node.plan()]).toEqual(before);
    expect(node.controller.folderReport()).toMatchObject({ state: 'unreadable', problems: [{ file: 'm' }] });
  });

  const analysis = (name: string) =>
    `apiVersion: adaptlet.io/v1alpha1\nkind: AdapterAnalysis\nmetadata: {name: ${name}}\nspec: {duration: 1m}\n---\n`;
  it('judges by an AdapterAnalysis of the folder, of which a copy stays, also after a restart', () => {
    const node = make();
    const steps = '{setWeight: 20}, {analysis: {ref: quality}}, {pause: {}}';
    const files = (name: string, ...more: string[]) => ({
      'a.yaml': adapter('v1') + adapter('v2') + rollout(name, steps),
      ...Object.fromEntries(more.map((text, i) => [`more-${i}.yaml`, text])),
    });
    node.states.set('v1', {}).set('v2', {});
    node.folder(files('v1'));
    node.folder(files('v1'));
    node.folder(files('v2'));
    expect(node.controller.rolloutOf(sql).status).toMatchObject({
      phase: 'Progressing',
      weights: { canary: 0 },
    });
    expect(node.controller.rolloutOf(sql).status?.message).toMatch(
      /AdapterAnalysis quality, which does not exist/,
    );
    node.folder(files('v2', analysis('quality')));
    expect(node.controller.rolloutOf(sql).status).toMatchObject({
      weights: { canary: 20 },
      analyses: [{ name: 'quality', generation: 1 }],
    });
    node.folder(files('v2', '# nothing'));
    const again = make(node.written.at(-1));
    again.states.set('v1', {}).set('v2', {});
    again.controller.reconcile();
    again.clock.advance(30_000);
    again.controller.reconcile();
    expect(again.controller.rolloutOf(sql).status).toMatchObject({
      weights: { canary: 20 },
      step: { index: 1 },
    });
  });
});
