import { expect, it } from 'vitest';
import type { GenerateEvent } from '../engine/engine.ts';
import { asTheyCome, choiceOf, promptsWithout, resumed } from './choices.ts';
import type { GenerateRequest } from './serving.ts';

const request: GenerateRequest = {
  prompt: { kind: 'text', text: 'x' },
  maxTokens: 4,
  sampling: { temperature: 1, topP: 1, topK: 0 },
  stop: [],
  choices: 3,
};
const seeded = (seed: number): GenerateRequest => ({ ...request, sampling: { ...request.sampling, seed } });
const token = (text: string): GenerateEvent => ({ kind: 'token', ids: [1], text });

/** A source whose events a test lets out one by one. */
const source = () => {
  const asked: PromiseWithResolvers<IteratorResult<GenerateEvent>>[] = [];
  let taken = 0;
  const at = (index: number) => (asked[index] ??= Promise.withResolvers());
  let given = 0;
  return {
    next: () => at(taken++).promise,
    give: (text: string) => at(given++).resolve({ done: false, value: token(text) }),
    fail: (error: Error) => at(given++).reject(error),
    end: () => at(given++).resolve({ done: true, value: undefined }),
    asked: () => taken,
  };
};

it('each answer draws with a seed of its own, which the seed of the request decides', () => {
  const seeds = (of: GenerateRequest) => [0, 1, 2].map((choice) => choiceOf(of, choice).sampling.seed);
  expect(seeds(seeded(7))).toEqual([7, 8, 9]);
  expect(seeds(seeded(Number.MAX_SAFE_INTEGER - 1))).toEqual([
    Number.MAX_SAFE_INTEGER - 1,
    Number.MAX_SAFE_INTEGER,
    0,
  ]);
  expect(seeds(request)).toEqual([undefined, undefined, undefined]);
  expect(choiceOf(request, 1)).not.toHaveProperty('choices');
});

it('a prompt is without answers until the first one to it is there', () => {
  const [second, third] = [
    { kind: 'text', text: 'y' },
    { kind: 'text', text: 'z' },
  ] as const;
  const several = { ...request, choices: 2, morePrompts: [second, third] };
  expect(promptsWithout(several, new Set([1]))).toEqual([second, third]);
  expect(promptsWithout(several, new Set([0, 1, 3]))).toEqual([third]);
  expect(promptsWithout(several, new Set([0, 2, 4]))).toEqual([]);
});

it('events come as they are there, each with its answer, and none is asked for before the last one was taken', async () => {
  const [a, b] = [source(), source()];
  const events = asTheyCome([a, b]);
  const first = events.next();
  b.give('b1');
  expect(await first).toEqual({ done: false, value: { ...token('b1'), choice: 1 } });
  expect([a.asked(), b.asked()]).toEqual([1, 1]);
  const second = events.next();
  b.end();
  a.give('a1');
  expect(await second).toEqual({ done: false, value: { ...token('a1'), choice: 0 } });
  const last = events.next();
  a.end();
  expect(await last).toEqual({ done: true, value: undefined });
});

it('the first error is that of all, whichever answer is waited for', async () => {
  const [a, b] = [source(), source()];
  const events = asTheyCome([a, b]);
  const first = events.next();
  b.fail(new Error('gone'));
  await expect(first).rejects.toThrow('gone');
  // Nobody waits for it any more, and it is no rejection that nobody hears.
  a.fail(new Error('gone as well'));
});

it('an iterator goes on behind the step that was made already', async () => {
  const rest = (async function* () {
    yield 2;
  })();
  const all = resumed({ done: false, value: 1 }, rest);
  expect([await all.next(), await all.next(), await all.next()].map(({ value }) => value)).toEqual([
    1,
    2,
    undefined,
  ]);
});
