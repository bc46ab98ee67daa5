import { expect, it } from 'vitest';
import { routeSpecSchema } from '../../api/route.ts';
import { anAdapter, aPolicy, aRollout, aRoute, aStatus, bound } from '../../plan/manifests.fixture.ts';
import { runtime, runtimeOfPod } from '../doctor/cluster/facts.fixture.ts';
import { contextOf } from '../route/asked.ts';
import { offlineOf } from '../route/offline.ts';
import { explainedText, explainOn } from './explain.ts';

const route = aRoute(
  { name: 'assistant' },
  routeSpecSchema.parse({
    model: 'assistant',
    rules: [
      { name: 'vip', matches: [{ user: { in: ['u1'] } }], targets: [{ rollout: 'sql' }] },
      {
        name: 'law',
        matches: [{ classifier: { name: 'words', labels: ['law'] } }],
        targets: [{ base: true }],
      },
    ],
    classifiers: [
      {
        name: 'words',
        minConfidence: 0.5,
        keywords: { labels: [{ name: 'law', terms: [{ text: 'court' }] }] },
      },
    ],
  }),
);

it('a request is explained for each node by its plan', async () => {
  const near = runtime('near');
  const baseModel = near.status?.baseModel.name ?? expect.fail('it has no base model');
  const objects = [
    route,
    anAdapter({ name: 'sql-v1' }, { baseModel }),
    aRollout(
      { name: 'sql' },
      { adapter: 'sql-v1', runtimeSelector: { matchLabels: { zone: 'near' } } },
      aStatus({ stable: bound('sql-v1') }),
    ),
    aPolicy('team-a'),
  ];
  const zoned = { ...near, metadata: { ...near.metadata, labels: { zone: 'near' } } };
  const open = (table: Parameters<typeof offlineOf>[0]) =>
    offlineOf(table, { classifiers: [], warn: () => undefined });
  const ask = async (asked: { readonly user?: string; readonly prompt?: string }) =>
    await explainOn(
      objects,
      [zoned, runtime('far'), runtimeOfPod('pod')],
      contextOf({ model: 'assistant', ...asked }, 'team-a'),
      open,
    );
  const vip = await ask({ user: 'u1' });
  expect(
    vip.map(({ runtime: name, explanation }) => [name, explanation.rule, explanation.candidates[0]?.kind]),
  ).toEqual([
    ['near', 'vip', 'adapter'],
    ['far', 'vip', 'unavailable'],
    ['pod', 'vip', 'unavailable'],
  ]);
  const law = await ask({ prompt: 'see you in court' });
  expect(law.map(({ explanation }) => explanation.rule)).toEqual(['law', 'law', 'law']);
  const denied = await explainOn(
    [...objects.filter(({ kind }) => kind !== 'AdapterPolicy'), aPolicy('team-a', { base: 'Deny' })],
    [zoned],
    contextOf({ model: 'assistant', prompt: 'see you in court' }, 'team-a'),
    open,
  );
  expect(denied[0]?.explanation.candidates).toMatchObject([
    { kind: 'unavailable', text: expect.stringContaining('(spec.base: Deny)') },
  ]);
  expect(explainedText(law)).toMatch(/^on near, far, pod:\nroute team-a\/assistant\n- rule vip: no\n/);
});
