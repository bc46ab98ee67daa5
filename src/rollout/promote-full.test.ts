import { describe, expect, it } from 'vitest';
import { reasons, timed, underWay } from './world.fixture.ts';

describe('promote --full', () => {
  it('makes the canary stable in one decision, past all remaining steps', () => {
    const world = underWay(timed);
    const { status, events } = world.decide({ verb: 'promote-full' });
    expect(events.map(({ reason }) => reason)).toEqual(['StepsSkipped', 'FastPromoted']);
    expect(status).toMatchObject({
      phase: 'Healthy',
      stable: { adapter: 'v2' },
      history: [{ adapter: 'v1' }],
      completionStatus: 'FastPromoted',
    });
    expect(status.step).toBeUndefined();
  });

  it('is remembered while the canary is not ready, or somebody pauses the rollout, at the weight that it has', () => {
    const world = underWay(timed);
    world.adapter('v2', { state: 'Pending' }).edit({ paused: true }).decide();
    expect(world.decide({ verb: 'promote-full' }).status).toMatchObject({
      phase: 'Paused',
      weights: { canary: 10 },
      step: { index: 4, full: true },
    });
    expect(world.edit({ paused: false }).decide().status.phase).toBe('Progressing');
    expect(world.adapter('v2', { state: 'Resident' }).decide().status.completionStatus).toBe('FastPromoted');
  });

  it('does not outlive an abort, another canary or other steps', () => {
    const pending = () => {
      const world = underWay(timed);
      world.edit({ paused: true }).decide({ verb: 'promote-full' });
      return world;
    };
    const retried = pending();
    retried.decide({ verb: 'abort' });
    retried.edit({ paused: false }).decide({ verb: 'retry' });
    expect(retried.status).toMatchObject({ phase: 'Paused', weights: { canary: 10 }, step: { index: 1 } });
    const superseded = pending();
    superseded.edit({ adapter: 'v3', paused: false }).decide();
    expect(superseded.status).toMatchObject({ canary: { adapter: 'v3' }, weights: { canary: 10 } });
    const edited = pending();
    edited.edit({ steps: [{ setWeight: 20 }, { pause: {} }], paused: false }).decide();
    expect(edited.status).toMatchObject({ canary: { adapter: 'v2' }, weights: { canary: 20 } });
  });

  it('is taken again after the steps were edited while the adapter was away', () => {
    const world = underWay(timed);
    const v2 = world.adapters.get('v2');
    world.adapters.delete('v2');
    world.decide({ verb: 'promote-full' });
    world.edit({ steps: [{ pause: {} }, { setWeight: 20 }] }).decide();
    const { events, status } = world.adapter('v2', v2).decide({ verb: 'promote-full' });
    expect(events.map(({ reason }) => reason)).toEqual(['StepsSkipped', 'FastPromoted']);
    expect(status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v2' } });
  });

  it('skips the edited steps when it comes together with the edit', () => {
    const world = underWay(timed).edit({ paused: true });
    world.decide({ verb: 'promote-full' });
    world.edit({ steps: [{ setWeight: 20 }, { pause: {} }], paused: false });
    expect(world.decide({ verb: 'promote-full' }).status.completionStatus).toBe('FastPromoted');
  });

  it('is refused where it does not apply, with the reason', () => {
    const world = underWay(timed);
    world.edit({ paused: true }).decide({ verb: 'promote-full' });
    expect(reasons(world.decide({ verb: 'promote-full' }))).toEqual(['RequestRefused']);
    expect(world.status?.lastRefusal).toBe('promote-full: the remaining steps were skipped already');
    world.decide({ verb: 'abort' });
    world.decide({ verb: 'promote-full' });
    expect(world.status?.lastRefusal).toBe('promote-full: the canary was given up; retry starts it again');
  });
});
