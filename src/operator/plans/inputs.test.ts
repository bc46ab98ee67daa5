import { expect, it } from 'vitest';
import { groupPoints } from '../../api/group-status.ts';
import { digestSchema, objectKey } from '../../api/names.ts';
import { compilePlan } from '../../plan/compile.ts';
import { anAdapter, aRollout, aStatus, bound } from '../../plan/manifests.fixture.ts';
import type { Read } from '../objects/objects.ts';
import { inputOf } from './inputs.ts';

const digest = digestSchema.parse(`sha256:${'0'.repeat(64)}`);

/** The object, and the paths of what is read of it that is no object itself. */
const watched = <T extends object>(object: T): { readonly object: T; readonly read: Set<string> } => {
  const read = new Set<string>();
  const watch = <O extends object>(value: O, path: string): O =>
    new Proxy(value, {
      get: (target, field) => {
        const got: unknown = Reflect.get(target, field);
        const isElement = Array.isArray(target);
        const at = isElement || typeof field === 'symbol' ? path : `${path}.${field}`;
        if (typeof got === 'object' && got !== null) return watch(got, at);
        if (typeof got !== 'function' && !isElement && typeof field !== 'symbol') read.add(at);
        return got;
      },
    });
  return { object: watch(object, ''), read };
};
const statusOf = (read: ReadonlySet<string>): string[] =>
  [...read].filter((path) => path.startsWith('.status')).sort();

it('has every field of a status that a plan is made of', () => {
  const canary = { ...bound('v2'), seed: '0123456789abcdef', attempt: 1 };
  const group = {
    name: 'g',
    hash: 'h',
    step: 0,
    message: 'm',
    open: groupPoints,
    phase: 'Progressing',
  } as const;
  const selector = { matchLabels: { site: 'one' } };
  const status = aStatus({
    stable: bound('v1'),
    history: [bound('v0')],
    canary,
    weights: { canary: 20, stable: 80, mirror: 5, observedCanary: 19 },
    step: { index: 1, total: 3, hash: 'x', elapsedMs: 1_000, promoted: false },
    groups: [{ ...group, selector, reach: groupPoints, weight: 20 }],
    message: 'waits',
  });
  const statuses = [
    status,
    { ...status, stable: undefined },
    { ...status, abort: { ...canary, at: '', reason: '' } },
  ];
  const compiled = new Set<string>();
  const compared = new Set<string>();
  for (const given of statuses) {
    const rollout = aRollout({ name: 'r' }, { adapter: 'v2' }, given);
    const forPlan = watched(rollout);
    const adapters = ['v0', 'v1', 'v2'].map((name) => anAdapter({ name }, { digest }));
    const runtime = { baseModel: 'tiny', labels: { site: 'one' }, key: objectKey('nodes', 'a') };
    compilePlan({ manifests: [...adapters, forPlan.object], runtime });
    for (const path of statusOf(forPlan.read)) compiled.add(path);
    const metadata = { ...rollout.metadata, resourceVersion: '1' };
    const key = objectKey('team-a', 'r');
    const forInput = watched({ key, metadata, object: rollout, resourceVersion: '1', problems: [] });
    inputOf(forInput.object);
    for (const path of forInput.read) compared.add(path.replace('.object', ''));
  }
  expect([...compiled].filter((path) => !compared.has(path))).toEqual([]);
  const more = [...compared].filter((path) => path.startsWith('.status') && !compiled.has(path)).sort();
  // Of a restrained runtime the plan depends on these as well.
  expect(more).toEqual(['.status.abort.digest']);
});

it('is not another one for what people are told', () => {
  const read = (status: Parameters<typeof aStatus>[0]) => {
    const object = aRollout({ name: 'r' }, { adapter: 'v1' }, aStatus({ stable: bound('v1'), ...status }));
    return { metadata: object.metadata, object } as never as Read<typeof object>;
  };
  const step = { index: 1, total: 3, hash: 'x', elapsedMs: 30_000, promoted: true };
  const weights = { canary: 0, stable: 100, observedCanary: 3 };
  expect(inputOf(read({ step, weights, phase: 'Paused', message: 'waits', revision: 9 }))).toBe(
    inputOf(read({})),
  );
});
