import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import type { Probe, ProbeId } from '../probe.ts';
import type { Seen, Stage } from '../stage.ts';

/** What differs only by the name that was asked for is the same. */
const shape = ({ status, code, text }: Seen, name: string): string =>
  `${status} ${code} ${text
    .replaceAll(name, 'NAME')
    .replaceAll(name.split('/')[0] ?? '', 'NAMESPACE')
    .replaceAll(/"[0-9a-f-]{36}"/g, 'ID')}`;

const alike = (
  id: ProbeId,
  tries: string,
  names: readonly [string, string],
  ask: (stage: Stage, name: string) => Promise<Seen>,
): Probe => ({
  id,
  tries,
  expected: 'the same answer for what is there and what is not',
  run: async (stage) => {
    const [there, not] = names;
    expect(shape(await ask(stage, there), there)).toBe(shape(await ask(stage, not), not));
  },
});

const rounds = 200;

/** Share of pairs in which the first is larger; 0.5: they cannot be told apart. */
export const aucOf = (a: readonly number[], b: readonly number[]): number => {
  let sum = 0;
  for (const x of a) for (const y of b) sum += x > y ? 1 : x === y ? 0.5 : 0;
  return sum / (a.length * b.length);
};

const many = async (count: number, ask: (index: number) => Promise<unknown>): Promise<void> => {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await ask(next++);
  };
  await Promise.all(Array.from({ length: 16 }, worker));
};

const doesNoHarm = (
  id: ProbeId,
  tries: string,
  refusal: number,
  ask: (stage: Stage) => Promise<Seen>,
): Probe => ({
  id,
  on: ['node'],
  tries,
  expected: 'refusals, and the other is answered as before',
  run: async (stage) => {
    const answered = new Map<number, number>();
    await many(10_000, async () => {
      const { status } = await ask(stage);
      answered.set(status, (answered.get(status) ?? 0) + 1);
    });
    expect([...answered.keys()].filter((status) => status !== refusal)).toEqual([]);
    expect((await stage.victim()).status).toBe(200);
  },
});

/** Finds out by trying. */
export const guess: readonly Probe[] = [
  alike(
    'guess/name',
    'asks for a name of the other that is there, and for one that is not',
    ['team-a/sauce', 'team-a/nothing'],
    (s, model) => s.http({ key: s.keys.app, model }),
  ),
  alike('guess/name-grpc', 'does so over gRPC', ['team-a/sauce', 'team-a/nothing'], (s, name) =>
    s.grpc('modelReady', { name, version: '' }, { key: s.keys.app }),
  ),
  alike(
    'guess/namespace',
    'asks for a namespace that is there, and for one that is not',
    ['team-a/any', 'team-c/any'],
    (s, model) => s.http({ key: s.keys.app, model }),
  ),
  alike(
    'guess/resident',
    'asks for an adapter that is resident elsewhere by its plain name',
    ['sauce', 'nothing'],
    (s, model) => s.http({ key: s.keys.app, model }),
  ),
  alike(
    'guess/anonymous',
    'does all this without a credential',
    ['team-a/sauce', 'team-a/nothing'],
    (s, model) => s.http({ model }),
  ),
  {
    id: 'guess/timing',
    on: ['node'],
    tries: 'takes the time of refusals for names that are there and that are not',
    expected: 'times that cannot be told apart: AUC from 0.35 to 0.65',
    run: async (stage) => {
      const times: { there: number[]; not: number[] } = { there: [], not: [] };
      for (let i = 0; i < rounds; i++) {
        const first = i % 2 === 0;
        for (const which of first ? (['there', 'not'] as const) : (['not', 'there'] as const)) {
          const model = which === 'there' ? 'team-a/sauce' : 'team-a/nope1';
          times[which].push((await stage.http({ key: stage.keys.app, model })).ms);
        }
      }
      const auc = aucOf(times.there, times.not);
      expect(auc).toBeGreaterThan(0.35);
      expect(auc).toBeLessThan(0.65);
    },
  },
  doesNoHarm('guess/many-names', 'asks for 10,000 names that nobody has', 404, (s) =>
    s.http({ key: s.keys.app, model: `none-${randomBytes(6).toString('hex')}` }),
  ),
  doesNoHarm('guess/many-keys', 'tries 10,000 keys', 401, (s) =>
    s.http({ key: `adk_${randomBytes(32).toString('base64url')}` }),
  ),
];
