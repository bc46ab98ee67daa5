import { expect, it } from 'vitest';
import { FakeClock } from '../time/fake-clock.ts';
import { type HeldPlan, heldPlanSchema, heldPlanToJson, noHeldPlan } from './held-plan.ts';
import { adapter, arm, at, planOf, route, split } from './plans.fixture.ts';
import { Receiver } from './receiver.ts';

const held: HeldPlan = {
  clusterUid: 'cluster-1',
  revision: at(7, { adapters: 2n ** 63n + 1n }),
  resources: [...planOf(adapter('a'), split('s', { stable: arm('a') }), route('r')).values()],
  removals: [{ key: 'Route team-a/r', remainingMs: 1234.5 }],
};
const file = (more: object = {}) => ({ ...JSON.parse(JSON.stringify(heldPlanToJson(held))), ...more });

it('is read as it was written, with numbers of 64 bits', () => {
  expect(heldPlanSchema.parse(file())).toMatchObject({ held, problems: [] });
  expect(heldPlanSchema.parse(JSON.parse(JSON.stringify(heldPlanToJson(noHeldPlan)))).held).toEqual(
    noHeldPlan,
  );
});

it('leaves out what is not what its version says, and names it', () => {
  const [a, s, r] = file().resources;
  const resources = [{ ...a, version: s.version }, s, { ...r, body: { ...r.body, model: 7 } }, 'x', null];
  expect(heldPlanSchema.parse(file({ resources }))).toMatchObject({
    held: { ...held, resources: [held.resources[1]], removals: [] },
    problems: [
      expect.stringMatching(/^resource 0: AdapterSpec team-a\/a: the body has the version /),
      expect.stringMatching(/^resource 2: Route team-a\/r: model: /),
      'resource 3: not a key, a version and a body',
      'resource 4: not a key, a version and a body',
    ],
  });
});

it('leaves out what zod cannot look at, and nothing else', () => {
  const odd = { length: { toString: null } };
  const [a, s, r] = file().resources;
  const resources = [{ ...a, key: odd }, s, { ...r, body: { ...r.body, model: odd } }];
  expect(heldPlanSchema.parse(file({ resources, removals: [{ key: odd, remainingMs: 5 }] }))).toMatchObject({
    held: { ...held, resources: [held.resources[1]], removals: [] },
    problems: [
      'resource 0: not a key, a version and a body',
      'resource 2: Route team-a/r: model: is an object whose length is no number',
      expect.stringMatching(/^removal 0: /),
    ],
  });
});

it('leaves out removals that make no sense', () => {
  const removals = [
    { key: 'Route team-a/r', remainingMs: -1 },
    { key: 'Split team-a/none', remainingMs: 5 },
    1,
  ];
  const read = heldPlanSchema.parse(file({ removals }));
  expect(read.held.removals).toEqual([]);
  expect(read.problems).toHaveLength(2);
});

it.each([
  ['another format', file({ format: 2 })],
  ['no revision', file({ revision: undefined })],
  ['a revision that is no number', file({ revision: { ...file().revision, routes: '-1' } })],
  ['no resources', file({ resources: undefined })],
  ['a text', 'plan'],
])('fails as a whole with %s', (_, value) => {
  expect(heldPlanSchema.safeParse(value).success).toBe(false);
});

it('asks for what was left out with the next Hello', () => {
  const [a, ...rest] = file().resources;
  const read = heldPlanSchema.parse(file({ resources: [{ ...a, body: {} }, ...rest] }));
  const receiver = new Receiver({ held: read.held, clock: new FakeClock() });
  expect(receiver.heldList().map(({ key }) => key)).toEqual(['Route team-a/r', 'Split team-a/s']);
});
