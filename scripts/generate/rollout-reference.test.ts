import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { conditionReasons, placementReasons } from '../../src/rollout/reasons.ts';
import { rolloutReference } from './rollout-reference.ts';
import { eventNames, exploreTransitions, type Transition } from './rollout-transitions.ts';

const root = join(import.meta.dirname, '../..');

describe('the transitions of a rollout', () => {
  let transitions: readonly Transition[];
  beforeAll(() => {
    transitions = exploreTransitions();
  });
  const from = (reason: string) => transitions.filter((one) => one.from.reason === reason);
  const next = (reason: string, event: string): string[] =>
    transitions
      .filter((one) => one.from.reason === reason && one.event === event)
      .flatMap(({ to }) => to.map((state) => state.reason))
      .toSorted();

  it('are those in docs/reference/rollouts.md', async () => {
    for (const [path, text] of await rolloutReference())
      expect(readFileSync(join(root, path), 'utf8'), 'run: npm run gen').toBe(text);
  });

  it('are reached by every event, and leave every state', () => {
    expect(eventNames.filter((name) => transitions.every(({ event }) => event !== name))).toEqual([]);
    const states = new Set(transitions.flatMap(({ to }) => to.map(({ reason }) => reason)));
    for (const reason of states) {
      const others = from(reason).flatMap(({ to }) => to.filter((state) => state.reason !== reason));
      expect(others, reason).not.toEqual([]);
    }
  });

  it('are between all reasons that the condition Progressing may have, or the page says whence the others come', () => {
    const page = readFileSync(join(root, 'docs/reference/rollouts.md'), 'utf8');
    const others =
      'AnalysesFound NotPaused StableServes NoStable FitsInRam NoRoom NameConflict WithinMaxFailures';
    const ofOtherConditions = new Set([...Object.keys(placementReasons), ...others.split(' ')]);
    const all = Object.keys(conditionReasons).filter((reason) => !ofOtherConditions.has(reason));
    expect(all.filter((reason) => !page.includes(`| \`${reason}\` | `))).toEqual([]);
  });

  it('give each reason one phase', () => {
    const phases = new Map<string, string>();
    for (const { phase, reason } of transitions.flatMap((one) => [one.from, ...one.to])) {
      expect(phases.get(reason) ?? phase, reason).toBe(phase);
      phases.set(reason, phase);
    }
  });

  it('end every canary under way by an abort, and by nothing but a person or the spec after that', () => {
    for (const reason of [
      'StepPaused',
      'AwaitingPromotion',
      'PausedBySpec',
      'AwaitingResident',
      'Analysing',
      'AwaitingVerdict',
    ])
      expect(next(reason, 'abort'), reason).toEqual(['Aborted']);
    const ends = from('Aborted').filter(({ to }) => to.some(({ reason }) => reason !== 'Aborted'));
    expect(ends.map(({ event }) => event).toSorted()).toEqual(['retry', 'the spec names stable again']);
  });

  it('promote a canary past its steps from every pause', () => {
    expect(next('StepPaused', 'promote --full')).toEqual(['Completed']);
    expect(next('AwaitingPromotion', 'promote --full')).toEqual(['Completed']);
  });

  it('end an analysis by what it finds: a person decides where it cannot tell', () => {
    expect(next('Analysing', 'the analysis succeeds')).toEqual(['Completed']);
    expect(next('Analysing', 'the analysis fails')).toEqual(['Aborted']);
    expect(next('Analysing', 'the analysis cannot tell')).toEqual(['AwaitingVerdict']);
    expect(next('AwaitingVerdict', 'promote')).toEqual(['Completed']);
  });
});
