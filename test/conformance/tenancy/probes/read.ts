import { expect } from 'vitest';
import { type Probe, type ProbeId, refused } from '../probe.ts';
import type { Seen, Stage } from '../stage.ts';

/** Names that only team-a knows. */
const secrets = ['sauce', 'secret-rollout', 'secret-route', 'assistant', 'team-a'];

/** `status`: of HTTP; 0 is success of gRPC. An answer that was another one would tell nothing either. */
const tellsNothing = (
  id: ProbeId,
  tries: string,
  expected: string,
  status: number,
  ask: (stage: Stage) => Promise<Seen>,
): Probe => ({
  id,
  tries,
  expected,
  run: async (stage) => {
    const { status: seen, text, headers } = await ask(stage);
    expect(seen, text).toBe(status);
    const all = `${text} ${[...headers].flat().join(' ')}`;
    for (const secret of secrets) expect(all).not.toContain(secret);
  },
});

/** Learns what another namespace has. */
export const read: readonly Probe[] = [
  tellsNothing('read/models', 'lists models', 'its own names alone', 200, (s) =>
    s.http({ path: '/v1/models', key: s.keys.app }),
  ),
  refused('read/other-models', "lists the other's models", 'FORBIDDEN', (s) =>
    s.http({ path: '/v1/models', key: s.keys.app, headers: { 'x-adaptlet-namespace': 'team-a' } }),
  ),
  refused('read/models-anonymous', 'lists models without a credential', 'UNAUTHENTICATED', (s) =>
    s.http({ path: '/v1/models' }),
  ),
  refused('read/card', "looks at the card of the other's model", 'FORBIDDEN', (s) =>
    s.http({ path: '/v1/models/team-a/sauce', key: s.keys.app }),
  ),
  tellsNothing('read/repository', 'lists the repository of Triton', 'its own names alone', 0, (s) =>
    s.grpc('repositoryIndex', { repositoryName: '', ready: false }, { key: s.keys.app }),
  ),
  refused('read/metadata', "asks for metadata of the other's model", 'FORBIDDEN', (s) =>
    s.grpc('modelMetadata', { name: 'team-a/sauce', version: '' }, { key: s.keys.app }),
  ),
  refused('read/ready', "asks whether the other's model is ready", 'FORBIDDEN', (s) =>
    s.grpc('modelReady', { name: 'team-a/sauce', version: '' }, { key: s.keys.app }),
  ),
  tellsNothing(
    'read/close-name',
    'asks for a name close to one of the other',
    'no suggestion of it',
    404,
    (s) => s.http({ key: s.keys.app, model: 'sauc' }),
  ),
  tellsNothing('read/metrics', 'reads /metrics of the port of requests', '404', 404, (s) =>
    s.http({ path: '/metrics', key: s.keys.app }),
  ),
  tellsNothing('read/probes', 'reads probes', 'nothing of names', 200, (s) => s.http({ path: '/readyz' })),
  tellsNothing('read/answer', 'gets an answer', 'its own digest alone', 200, (s) =>
    s.http({ key: s.keys.app }),
  ),
  tellsNothing('read/broken-body', 'sends a body that cannot be read', 'nothing of names', 400, (s) =>
    s.http({ key: s.keys.app, body: { model: 5 } }),
  ),
  {
    id: 'read/item',
    tries: "refers to the item of the other's answer, and to that of another of its keys",
    expected: 'ITEM_NOT_FOUND',
    run: async (stage) => {
      const ask = (key: string, model: string, input: unknown): Promise<Seen> =>
        stage.http({ path: '/v1/responses', key, body: { model, input, max_output_tokens: 4 } });
      const itemOf = async (key: string, model: string): Promise<string> => {
        const { status, text } = await ask(key, model, 'hello');
        expect(status, text).toBe(200);
        return (
          (JSON.parse(text) as { readonly output: readonly { readonly id: string }[] }).output[0]?.id ?? ''
        );
      };
      const { victim, app, gateway } = stage.keys;
      const refer = (key: string, id: string) =>
        ask(key, 'own', [
          { type: 'item_reference', id },
          { role: 'user', content: 'x' },
        ]);
      const own = await itemOf(app, 'own');
      expect((await refer(app, own)).status).toBe(200);
      const theirs = await itemOf(victim, 'team-a/sauce');
      for (const [key, id] of [
        [app, theirs],
        [gateway, theirs],
        [gateway, own],
      ] as const)
        expect(await refer(key, id)).toMatchObject({ status: 404, code: 'ITEM_NOT_FOUND' });
    },
  },
];
