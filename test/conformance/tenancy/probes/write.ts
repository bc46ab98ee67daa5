import { expect } from 'vitest';
import { type Probe, refused } from '../probe.ts';

const load = (modelName: string) => ({ repositoryName: '', modelName, parameters: {} });

const leaves = (probe: Probe): Probe => ({
  ...probe,
  run: async (stage) => {
    await probe.run(stage);
    expect(await stage.ground.stateOf('team-a/sauce')).toBe('Resident');
  },
});

/** Changes what another namespace has, or takes what is not its own. */
export const write: readonly Probe[] = [
  leaves(
    refused('write/unload', "unloads the other's adapter", 'FORBIDDEN', (s) =>
      s.grpc('repositoryModelUnload', load('team-a/sauce'), { key: s.keys.app }),
    ),
  ),
  leaves(
    refused(
      'write/unload-lifecycle',
      "unloads the other's adapter with the right Lifecycle",
      'FORBIDDEN',
      (s) => s.grpc('repositoryModelUnload', load('team-a/sauce'), { key: s.keys.operations }),
    ),
  ),
  leaves(
    refused(
      'write/unload-header',
      "unloads the other's adapter by the header of its namespace",
      'FORBIDDEN',
      (s) =>
        s.grpc('repositoryModelUnload', load('sauce'), {
          key: s.keys.operations,
          headers: { 'x-adaptlet-namespace': 'team-a' },
        }),
    ),
  ),
  refused('write/load', "loads the other's adapter", 'FORBIDDEN', (s) =>
    s.grpc('repositoryModelLoad', load('team-a/sauce'), { key: s.keys.operations }),
  ),
  refused('write/unload-own', 'unloads its own adapter without the right Lifecycle', 'FORBIDDEN', (s) =>
    s.grpc('repositoryModelUnload', load('own'), { key: s.keys.app }),
  ),
  refused('write/unload-anonymous', 'unloads without a credential', 'UNAUTHENTICATED', (s) =>
    s.grpc('repositoryModelUnload', load('own')),
  ),
  refused('write/priority', 'asks with a priority above 0', 'FORBIDDEN', (s) =>
    s.http({ key: s.keys.app, headers: { 'x-adaptlet-priority': '1' } }),
  ),
  {
    id: 'write/feedback',
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
      id: where === 'body' ? 'write/user-body' : 'write/user-header',
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
