import { expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { noHeldPlan } from '../../control/held-plan.ts';
import { adapterResource } from '../../plan/resources.fixture.ts';
import { versioned } from '../../plan/resources.ts';
import { digestOf } from '../residency/fake-engine.ts';
import { formerAdapters } from './former-adapters.ts';

const [one, two, three] = ['1', '2', '3'].map(digestOf) as [
  ReturnType<typeof digestOf>,
  ReturnType<typeof digestOf>,
  ReturnType<typeof digestOf>,
];

it('is what plans name a digest for, of an operator or a folder, and what sources gave', () => {
  const plan = {
    ...noHeldPlan,
    resources: [
      versioned(adapterResource(objectKey('team-a', 'named'), { uid: 'u1', digest: one })),
      versioned(adapterResource(objectKey('team-a', 'tagged'), { uid: 'u2' })),
    ],
  };
  const metadata = {
    namespace: 'team-b',
    generation: 1,
    creationTimestamp: '',
    annotations: {},
    labels: {},
  };
  const spec = { baseModel: 'tiny', source: { path: { path: 'x' } } };
  const adapterOf = (uid: string, more: object) => ({
    kind: 'Adapter',
    metadata: { ...metadata, name: uid, uid },
    spec: { ...spec, ...more },
  });
  const standalone = {
    files: { 'a.yaml': [adapterOf('u3', { digest: two }), adapterOf('u4', {})] },
    rollouts: {},
  } as unknown as Parameters<typeof formerAdapters>[0]['standalone'];
  const found = formerAdapters({ plan, standalone, resolutions: { u2: three, user: one } });
  expect(found).toEqual([
    { uid: 'u1', digest: one },
    { uid: 'u3', digest: two },
    { uid: 'u2', digest: three },
    { uid: 'user', digest: one },
  ]);
});

it('is nothing on a new node', () => {
  expect(formerAdapters({ plan: undefined, standalone: undefined, resolutions: {} })).toEqual([]);
});
