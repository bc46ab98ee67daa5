import { describe, expect, it } from 'vitest';
import { kstatusOf } from '../../api/kstatus.fixture.ts';
import { rolloutSpecSchema } from '../../api/rollout.ts';
import { anAnalysis } from '../../plan/manifests.fixture.ts';
import { RolloutWorld, sql } from './world.fixture.ts';

const { strategy } = rolloutSpecSchema.parse({
  adapter: 'v2',
  strategy: {
    canary: { steps: [{ setWeight: 50 }, { analysis: { ref: 'quality', duration: '10m' } }, { pause: {} }] },
  },
});
const quality = (atMost: number) =>
  anAnalysis(
    { name: 'quality' },
    {
      metrics: [
        {
          name: 'up',
          source: { prometheus: { address: 'http://prometheus', query: 'up' } },
          judge: { threshold: { success: { atMost } } },
          interval: '1s',
        },
      ],
    },
  );

/** v1 is stable, v2 the canary, and an analysis by reference is due. */
const world = async (change: (world: RolloutWorld) => void = () => undefined): Promise<RolloutWorld> => {
  const made = new RolloutWorld('a').adapter('v1').adapter('v2');
  change(made);
  made.measure = () => Promise.resolve(3);
  made.spec({ adapter: 'v1', strategy }).state('v1', 'Resident');
  await made.settle();
  made.spec({ adapter: 'v2' }).state('v2', 'Resident');
  await made.settle();
  return made;
};
const turns = async (made: RolloutWorld, count: number): Promise<void> => {
  for (let i = 0; i < count; i++) {
    await made.advance(1000).run();
    await new Promise(setImmediate);
  }
};
const condition = (made: RolloutWorld) =>
  made.status.conditions.find(({ type }) => type === 'AnalysesFound') ?? expect.fail('it is not told');

describe('a rollout that refers to an AdapterAnalysis', () => {
  it('is judged by it, also by the next leader and when it is gone', async () => {
    const made = await world((begun) => void begun.cluster.apply(quality(5)));
    expect(made.status.analyses).toMatchObject([{ name: 'quality', spec: { metrics: [{ name: 'up' }] } }]);
    made.cluster.remove('AdapterAnalysis', made.cluster.apply(quality(5)));
    made.takeOver();
    await turns(made, 5);
    expect(made.status.analysis).toMatchObject([{ name: 'up', phase: 'Running', value: 3 }]);
    expect(condition(made).status).toBe('True');
    made.measure = () => Promise.resolve(9);
    await turns(made, 5);
    expect(made.status).toMatchObject({ phase: 'Degraded', weights: { canary: 0 } });
  });

  it('waits for one that does not exist, says so once, and goes on when it comes', async () => {
    const made = await world();
    expect(made.status).toMatchObject({ phase: 'Progressing', weights: { canary: 0 } });
    expect(condition(made)).toMatchObject({ status: 'False', reason: 'AnalysisNotFound' });
    expect(kstatusOf(made.status.observedGeneration, made.status)).toBe('InProgress');
    await turns(made, 5);
    expect(made.reasons.filter((reason) => reason === 'AnalysisNotFound')).toHaveLength(1);
    expect(made.cluster.events.find(({ reason }) => reason === 'AnalysisNotFound')?.type).toBe('Warning');
    const enqueued: string[] = [];
    const stop = made.controller.follow((key) => void enqueued.push(key));
    enqueued.length = 0;
    made.cluster.apply(anAnalysis({ name: 'other' }));
    expect(enqueued).toEqual([]);
    made.cluster.apply(quality(5));
    expect(enqueued).toEqual([sql]);
    stop();
    await turns(made, 2);
    expect(made.status.weights.canary).toBe(50);
  });

  it('says what is wrong with one that cannot be read', async () => {
    const problems = [{ path: ['spec'], reason: 'spec.metrics[0].name is required' }];
    const made = await world((begun) => void begun.cluster.apply(quality(5), {}, problems));
    expect(condition(made)).toMatchObject({
      reason: 'AnalysisInvalid',
      message: 'AdapterAnalysis quality: spec.metrics[0].name is required',
    });
    expect(kstatusOf(made.status.observedGeneration, made.status)).toBe('Failed');
    expect(made.status.weights.canary).toBe(0);
  });

  it('whose own analyses are not valid keeps its canary where it is, and still aborts', async () => {
    const made = await world((begun) => void begun.cluster.apply(quality(5)));
    const object = made.cluster.rollouts.server.get(sql)?.object ?? expect.fail('no rollout');
    made.cluster.apply({ ...object, invalidAnalyses: 'spec.strategy.canary.analysis: is odd' });
    await turns(made, 3);
    expect(made.status).toMatchObject({ phase: 'Degraded', weights: { canary: 50 } });
    expect(condition(made)).toMatchObject({
      reason: 'AnalysisInvalid',
      message: 'spec.strategy.canary.analysis: is odd',
    });
    made.hold('a', 'Guard');
    await made.run();
    expect(made.status.weights.canary).toBe(0);
  });
});
