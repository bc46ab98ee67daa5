import { connect, type Socket } from 'node:net';
import { expect } from 'vitest';
import type { Probe } from '../probe.ts';
import type { Seen, Stage } from '../stage.ts';

const long = 'many words of a prompt '.repeat(3);

/** Requests of the attacker that are open at the same time until `work` is done or failed. They are over when it ends. */
const beside = async <T>(
  stage: Stage,
  count: number,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly seen: readonly Seen[] }> => {
  const seen: Seen[] = [];
  let going = true;
  const loop = async (): Promise<void> => {
    while (going)
      seen.push(
        await stage.http({
          key: stage.keys.app,
          body: { model: 'own', prompt: long, max_tokens: 64 },
        }),
      );
  };
  const loops = Array.from({ length: count }, loop);
  const worked = work().finally(() => {
    going = false;
  });
  await Promise.allSettled([worked, ...loops]);
  const result = await worked;
  await Promise.all(loops);
  return { result, seen };
};

/** Takes what others need. */
export const starve: readonly Probe[] = [
  {
    id: 'starve/open-requests',
    tries: 'keeps 64 requests open',
    expected: 'at most 3 of them at a time, 429 to the others; the other namespace is answered all the while',
    run: async (stage) => {
      const { result, seen } = await beside(stage, 64, async () => {
        const answers: Seen[] = [];
        for (let i = 0; i < 30; i++) answers.push(await stage.victim());
        return answers;
      });
      expect(result.map(({ status }) => status)).toEqual(result.map(() => 200));
      const refusals = seen.filter(({ status }) => status !== 200);
      expect(refusals.length).toBeGreaterThan(0);
      for (const refusal of refusals) {
        expect(refusal.status).toBe(429);
        expect(refusal.headers.get('retry-after')).toMatch(/^\d+$/);
        expect(refusal.text).toMatch(/\b3\b/);
      }
    },
  },
  {
    id: 'starve/long-prompt',
    tries: 'sends a prompt of 3 MB',
    expected: 'a refusal; the other namespace is answered',
    run: async (stage) => {
      const asked = stage.http({
        key: stage.keys.app,
        body: { model: 'own', prompt: 'word '.repeat(600_000), max_tokens: 4 },
      });
      expect((await stage.victim()).status).toBe(200);
      expect((await asked).status).toBeGreaterThanOrEqual(400);
    },
  },
  {
    id: 'starve/connections',
    tries: 'opens 100 connections and sends nothing',
    expected: 'the other namespace is answered',
    run: async (stage) => {
      const { hostname, port } = new URL(stage.ground.http);
      const sockets = await Promise.all(
        Array.from(
          { length: 100 },
          () =>
            new Promise<Socket>((resolve) => {
              const socket = connect(Number(port), hostname, () => resolve(socket));
              socket.on('error', () => undefined);
            }),
        ),
      );
      try {
        expect((await stage.victim()).status).toBe(200);
      } finally {
        for (const socket of sockets) socket.destroy();
      }
    },
  },
];

/** Fills memory and disk. */
export const fill: readonly Probe[] = [
  {
    id: 'fill/source',
    tries: 'has an adapter of a source that its policy does not allow',
    expected: 'SOURCE_NOT_ALLOWED or an unknown name, and nothing is read',
    run: async (stage) => {
      const seen = await stage.http({ key: stage.keys.app, model: 'outside' });
      expect(seen.status).not.toBe(200);
      expect(['SOURCE_NOT_ALLOWED', 'MODEL_NOT_FOUND', 'ADAPTER_NOT_AVAILABLE']).toContain(seen.code);
    },
  },
  {
    id: 'fill/users',
    tries: 'asks for the adapters of users by a hundred names',
    expected: "the other's adapter stays resident",
    run: async (stage) => {
      const users = ['hello', 'digits', 'reverse', 'upper'];
      let answered = 0;
      for (let i = 0; i < 100; i++) {
        const user = i % 4 === 0 ? (users[(i / 4) % 4] ?? '') : `user-${i}`;
        const seen = await stage.http({
          key: stage.keys.gateway,
          headers: { 'x-adaptlet-user': user },
          body: { model: 'personal', prompt: 'hello', max_tokens: 1 },
        });
        if (seen.status === 200) answered += 1;
      }
      // Adapters did come: those that there are.
      expect(answered).toBeGreaterThan(0);
      expect(await stage.ground.stateOf('team-a/sauce')).toBe('Resident');
      expect((await stage.victim()).status).toBe(200);
    },
  },
];
