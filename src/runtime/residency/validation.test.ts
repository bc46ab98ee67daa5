import { expect, it } from 'vitest';
import type { Digest } from '../../api/names.ts';
import { codeOf } from '../../errors/code-of.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { FakeEngine, Script } from './fake-engine.ts';
import { never, settle } from './fake-ports.ts';
import { examine, judgeAnswer, judgeProbe, verdictKey } from './validation.ts';

const validation = { smokeTests: [], allowNoEffect: false };
const digest = `sha256:${'a'.repeat(64)}` as Digest;

it.each([
  [{ finite: true, maxDifference: 0.5 }, 'none'],
  [{ finite: true, maxDifference: 0 }, 'ADAPTER_NO_EFFECT'],
  [{ finite: false, maxDifference: 0.5 }, 'ADAPTER_PROBE_NOT_FINITE'],
  [{ finite: true, maxDifference: Number.NaN }, 'ADAPTER_PROBE_NOT_FINITE'],
  [{ finite: true, maxDifference: 0.5, clipped: 0.01 }, 'none'],
  [{ finite: true, maxDifference: 0.5, clipped: 0.02 }, 'ADAPTER_BEYOND_INT8'],
])('the probe %o is judged %s', async (probe, verdict) => {
  expect(await codeOf(() => judgeProbe(probe, 'team/a', validation))).toBe(verdict);
});

it('an adapter without effect passes where that is allowed', async () => {
  const allowed = { ...validation, allowNoEffect: true };
  expect(await codeOf(() => judgeProbe({ finite: true, maxDifference: 0 }, 'team/a', allowed))).toBe('none');
});

it.each([
  [{ contains: 'moo' }, undefined],
  [{ contains: 'sun' }, 'answered " MOON moo", which does not contain "sun"'],
  [{ equals: ' MOON moo' }, undefined],
  [{ equals: 'MOON' }, 'answered " MOON moo", expected "MOON"'],
  [{ regex: '(?i)^ moon' }, undefined],
  [{ regex: '^moon$' }, 'answered " MOON moo", which does not match "^moon$"'],
])('an answer is held against %o', (expected, problem) => {
  expect(judgeAnswer(' MOON moo', expected)).toBe(problem);
});

const smokeTest = { name: 'says-moon', prompt: 'moon:', maxTokens: 4, expect: { contains: 'moon' } };
const examination = (maxLatency?: string) => {
  const script = new Script();
  const clock = new FakeClock();
  const engine = new FakeEngine(script, () => 10);
  const tests = {
    ...validation,
    smokeTests: [smokeTest],
    ...(maxLatency === undefined ? {} : { maxLatency }),
  };
  const run = () => examine({ engine, clock, limitMs: 5_000 }, 'team/a--aaaaaaaaaaaa', tests, never());
  return { script, clock, engine, run };
};

it('a smoke test that takes longer than allowed fails with both times', async () => {
  const { script, clock, run } = examination('1s');
  const answer = script.hold('generate a');
  const running = run();
  const outcome = expect(running).rejects.toThrow('took 1500 ms, allowed are 1000 ms');
  await settle();
  clock.advance(1_500);
  answer.resolve();
  await outcome;
});

it('a smoke test that never answers is given up', async () => {
  const { script, clock, run } = examination();
  script.hold('generate a');
  const outcome = expect(run()).rejects.toMatchObject({ code: 'SMOKE_TEST_FAILED' });
  await settle();
  clock.advance(5_000);
  await outcome;
});

it('a smoke test of a classifier compares its label; embeddings are no answer', async () => {
  const { engine, script, run } = examination();
  engine.task = 'embed';
  await run();
  expect(script.calls).toEqual(['probe a', 'encode a']);
  engine.answer = 'sun';
  await expect(run()).rejects.toThrow('answered "sun", which does not contain "moon"');
  engine.classifies = false;
  await expect(run()).rejects.toThrow('the adapter gives embeddings, which are no text');
});

it('an engine that ends during a smoke test is no verdict about the adapter', async () => {
  const { script, engine, run } = examination();
  script.hold('generate a');
  const outcome = expect(run()).rejects.toMatchObject({ code: 'ENGINE_DOWN' });
  await settle();
  engine.kill();
  await outcome;
});

it('a verdict is for one content, graph, engine version and set of tests', () => {
  const engine = new FakeEngine(new Script(), () => 10);
  const info = engine.info();
  const keys = [
    verdictKey(digest, info, validation),
    verdictKey(digest, { ...info, graphDigest: 'graph-2' }, validation),
    verdictKey(digest, { ...info, engineVersion: '2' }, validation),
    verdictKey(digest, info, { ...validation, smokeTests: [smokeTest] }),
    verdictKey(`sha256:${'b'.repeat(64)}` as Digest, info, validation),
  ];
  expect(new Set(keys).size).toBe(keys.length);
  expect(verdictKey(digest, info, { ...validation })).toBe(keys[0]);
});
