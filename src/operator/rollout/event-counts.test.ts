import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { maxToldRollouts } from '../../rollout/gauges.ts';
import { exposition } from '../../telemetry/exposition.ts';
import { RolloutEventCounts } from './event-counts.ts';
import { type RolloutWorld, sql, steps, underWay } from './world.fixture.ts';

const textOf = (counts: RolloutEventCounts): string => exposition(counts.metrics());
const ended = (world: RolloutWorld): Record<string, number> => {
  const found = textOf(world.controller.eventCounts).matchAll(
    /^adaptlet_rollout_completed_total\{completion="(\w+)"\} (\d+)$/gm,
  );
  return Object.fromEntries(
    [...found].flatMap(([, how = '', count]) => (count === '0' ? [] : [[how, Number(count)]])),
  );
};
const events = (world: RolloutWorld): string[] =>
  textOf(world.controller.eventCounts)
    .split('\n')
    .filter((line) => line.startsWith('adaptlet_rollout_events_total'));

describe('what a leader counts of rollouts', () => {
  it('are events by type and reason', async () => {
    const world = await underWay('n1');
    world.ask('abort@1');
    await world.settle();
    const name = 'namespace="team-a",name="sql"';
    expect(events(world)).toContain(
      `adaptlet_rollout_events_total{${name},type="Normal",reason="WeightSet"} 1`,
    );
    expect(events(world)).toContain(
      `adaptlet_rollout_events_total{${name},type="Warning",reason="Aborted"} 1`,
    );
    const told = events(world).reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
    expect(told).toBe(world.cluster.events.length);
  });

  it('is gone with the rollout, and what ended stays counted', async () => {
    const world = await underWay('n1');
    world.cluster.remove('AdapterRollout', sql);
    await world.run();
    expect(events(world)).toEqual([]);
    expect(ended(world)).toEqual({ Promoted: 1 });
  });

  it('begins anew with another leader', async () => {
    const world = await underWay('n1');
    world.takeOver();
    await world.settle();
    expect(ended(world)).toEqual({});
  });

  it('is each canary once, by how it ended', async () => {
    const world = await underWay('n1');
    expect(ended(world)).toEqual({ Promoted: 1 });
    world.ask('abort@1');
    await world.settle();
    expect(ended(world)).toEqual({ Promoted: 1, Aborted: 1 });
    world.spec({ adapter: 'v1' });
    await world.settle();
    expect(world.status.completionStatus).toBe('RolledBack');
    expect(ended(world)).toEqual({ Promoted: 1, Aborted: 1 });
    world.spec({ adapter: 'v2' });
    await world.settle();
    world.spec({ adapter: 'v3' }).state('v3', 'Resident');
    await world.settle();
    expect(ended(world)).toEqual({ Promoted: 1, Aborted: 1, Superseded: 1 });
    world.spec({ adapter: 'v1' });
    await world.settle();
    expect(ended(world)).toEqual({ Promoted: 1, Aborted: 1, Superseded: 1, RolledBack: 1 });
    world.spec({ adapter: 'v2' });
    await world.settle();
    world.ask('promote-full@2');
    await world.settle();
    expect(ended(world)).toMatchObject({ FastPromoted: 1 });
    world.spec({ adapter: 'v1', ...steps(10) });
    await world.settle();
    expect(ended(world)).toMatchObject({ FastPromoted: 1, FastRolledBack: 1 });
  });

  it('counts the second attempt of a canary that was given up, too', async () => {
    const world = await underWay('n1');
    for (const request of ['abort@1', 'retry@2', 'abort@3']) {
      world.ask(request);
      await world.settle();
    }
    expect(ended(world)).toEqual({ Promoted: 1, Aborted: 2 });
  });

  it('is bounded: events of rollouts beyond the limit share a name', () => {
    const counts = new RolloutEventCounts();
    const event = { type: 'Normal', reason: 'Promoted' } as const;
    const counted = (name: string): string | undefined =>
      textOf(counts)
        .split('\n')
        .find((line) => line.includes(`name="${name}",type="Normal",reason="Promoted"`));
    for (let i = 0; i < maxToldRollouts + 3; i++) counts.event(objectKey('a', `r${i}`), event);
    expect(counted('other')).toMatch(/namespace="".* 3$/);
    counts.forget(objectKey('a', 'r0'));
    counts.event(objectKey('a', 'later'), event);
    expect(counted('later')).toMatch(/ 1$/);
    expect(counted('r0')).toBeUndefined();
  });
});
