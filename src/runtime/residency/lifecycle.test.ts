import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Digest } from '../../api/names.ts';
import { isInRam, type LifecycleEvent, type State, type StateKind, transition } from './lifecycle.ts';

const digest = `sha256:${'a'.repeat(64)}` as Digest;
const other = `sha256:${'b'.repeat(64)}` as Digest;
const compiled = { file: '/f', bytes: 10, ramBytes: 20, rank: 8, targetModules: ['q_proj'] };
const disk = { digest, storedBytes: 5 };
const ram = { ...disk, compiled, engineName: 'team/a--aaaaaaaaaaaa', ramBytes: 10 };
const failure = { code: 'INTERNAL', message: 'm', retry: 'Backoff', since: 1 } as const;

const states: readonly State[] = [
  { kind: 'Remote' },
  { kind: 'Fetching' },
  { kind: 'Stored', ...disk },
  { kind: 'Compiled', ...disk, compiled },
  { kind: 'Loaded', ...ram },
  { kind: 'Resident', ...ram },
  { kind: 'Draining', ...ram },
  { kind: 'Failed', failure },
];
const events: readonly LifecycleEvent[] = [
  { kind: 'Found', ...disk },
  { kind: 'FetchStarted' },
  { kind: 'Fetched', ...disk },
  { kind: 'FetchStopped', reason: 'r' },
  { kind: 'Built', ...disk, compiled },
  { kind: 'Loaded', engineName: ram.engineName, ramBytes: 10 },
  { kind: 'Passed', reason: 'r' },
  { kind: 'DrainStarted', reason: 'r' },
  { kind: 'Unloaded', reason: 'r' },
  { kind: 'EngineLost' },
  { kind: 'CompiledLost', reason: 'r' },
  { kind: 'ArtifactLost', reason: 'r' },
  { kind: 'Failed', failure },
  { kind: 'Reset', reason: 'r' },
];

/** Every arrow that there is; whatever is not here is refused. */
const arrows: Readonly<Record<StateKind, Readonly<Partial<Record<LifecycleEvent['kind'], StateKind>>>>> = {
  Remote: { Found: 'Stored', FetchStarted: 'Fetching', Failed: 'Failed' },
  Fetching: { Fetched: 'Stored', FetchStopped: 'Remote', Failed: 'Failed' },
  Stored: { Built: 'Compiled', ArtifactLost: 'Remote', Failed: 'Failed' },
  Compiled: { Loaded: 'Loaded', CompiledLost: 'Stored', ArtifactLost: 'Remote', Failed: 'Failed' },
  Loaded: { Passed: 'Resident', Unloaded: 'Compiled', EngineLost: 'Compiled' },
  Resident: { DrainStarted: 'Draining', EngineLost: 'Compiled' },
  Draining: { Unloaded: 'Compiled', EngineLost: 'Compiled' },
  Failed: { FetchStarted: 'Fetching', Built: 'Compiled', Reset: 'Remote', Failed: 'Failed' },
};

for (const state of states) {
  it(`${state.kind} goes where the table says and nowhere else`, () => {
    for (const event of events) {
      const next = transition(state, event);
      const expected = arrows[state.kind][event.kind];
      expect(next.ok ? next.state.kind : 'refused', event.kind).toBe(expected ?? 'refused');
      if (!next.ok) expect(next.refusal).toBe(`${event.kind} cannot happen in ${state.kind}`);
    }
  });
}

it('a compiled form of another digest is refused', () => {
  expect(
    transition({ kind: 'Stored', ...disk }, { kind: 'Built', ...disk, digest: other, compiled }).ok,
  ).toBe(false);
});

it('whatever happens in whatever order, an adapter serves only after it passed, and drains before it is freed', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...events), { maxLength: 60 }), (history) => {
      let state: State = { kind: 'Remote' };
      for (const event of history) {
        const before: State = state;
        const next = transition(state, event);
        if (!next.ok) continue;
        state = next.state;
        if (state.kind === 'Resident') expect([before.kind, event.kind]).toEqual(['Loaded', 'Passed']);
        if (before.kind === 'Resident') expect(['Draining', 'Compiled']).toContain(state.kind);
        if (before.kind === 'Resident' && state.kind === 'Compiled') expect(event.kind).toBe('EngineLost');
        if (isInRam(state) && !isInRam(before)) expect(before.kind).toBe('Compiled');
        if (isInRam(before)) expect(state.kind).not.toBe('Failed');
        if (isInRam(before) && isInRam(state)) expect(state.engineName).toBe(before.engineName);
      }
    }),
  );
});
