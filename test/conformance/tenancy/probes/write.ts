import { expect } from 'vitest';
import { type Probe, refused } from '../probe.ts';
import type { Stage } from '../stage.ts';

const load = (modelName: string) => ({ repositoryName: '', modelName, parameters: {} });

const victimIsResident = async (stage: Stage): Promise<void> => {
  const { adapters } = await stage.node.client.status();
  expect(adapters.find(({ key }) => key === 'team-a/sauce')?.state).toBe('Resident');
};

const leaves = (probe: Probe): Probe => ({
  ...probe,
  run: async (stage) => {
    await probe.run(stage);
    await victimIsResident(stage);
  },
});

/** Changes what another namespace has, or takes what is not its own. */
export const write: readonly Probe[] = [
  leaves(
    refused('write', "unloads the other's adapter", 'FORBIDDEN', (s) =>
      s.grpc('repositoryModelUnload', load('team-a/sauce'), { key: s.keys.app }),
    ),
  ),
  leaves(
    refused('write', "unloads the other's adapter with the right Lifecycle", 'FORBIDDEN', (s) =>
      s.grpc('repositoryModelUnload', load('team-a/sauce'), { key: s.keys.operations }),
    ),
  ),
  leaves(
    refused('write', "unloads the other's adapter by the header of its namespace", 'FORBIDDEN', (s) =>
      s.grpc('repositoryModelUnload', load('sauce'), {
        key: s.keys.operations,
        headers: { 'x-adaptlet-namespace': 'team-a' },
      }),
    ),
  ),
  refused('write', "loads the other's adapter", 'FORBIDDEN', (s) =>
    s.grpc('repositoryModelLoad', load('team-a/sauce'), { key: s.keys.operations }),
  ),
  refused('write', 'unloads its own adapter without the right Lifecycle', 'FORBIDDEN', (s) =>
    s.grpc('repositoryModelUnload', load('own'), { key: s.keys.app }),
  ),
  refused('write', 'unloads without a credential', 'UNAUTHENTICATED', (s) =>
    s.grpc('repositoryModelUnload', load('own')),
  ),
  refused('write', 'asks with a priority above 0', 'FORBIDDEN', (s) =>
    s.http({ key: s.keys.app, headers: { 'x-adaptlet-priority': '1' } }),
  ),
  {
    kind: 'write',
    tries: "gives feedback on the other's answer",
    expected: 'the same as for an id that never was',
    run: async (stage) => {
      const id = (await stage.victim('rollout:secret-rollout')).headers.get('x-adaptlet-request-id') ?? '';
      expect(id).not.toBe('');
      const give = (given: string) =>
        stage.http({ path: '/v1/feedback', key: stage.keys.app, body: { id: given, reward: -1 } });
      const [real, madeUp] = [await give(id), await give('00000000-0000-4000-8000-000000000000')];
      expect(real.status).toBe(madeUp.status);
      expect(real.code).toBe(madeUp.code);
      expect(real.status).toBeGreaterThanOrEqual(400);
    },
  },
  ...(['x-adaptlet-user', 'body'] as const).map(
    (where): Probe => ({
      kind: 'write',
      tries: `takes the adapter of another user, named in ${where === 'body' ? 'the body' : 'a header'}`,
      expected: 'the user of its credential, or FORBIDDEN',
      run: async (stage) => {
        const seen = await stage.http({
          key: stage.keys.app,
          body: {
            model: 'personal',
            prompt: 'hello',
            max_tokens: 4,
            ...(where === 'body' ? { user: 'upper' } : {}),
          },
          headers: where === 'body' ? {} : { 'x-adaptlet-user': 'upper' },
        });
        expect(seen.status).not.toBe(200);
        expect(seen.headers.get('x-adaptlet-adapter') ?? '').not.toContain('upper');
      },
    }),
  ),
];
