import { createHash } from 'node:crypto';
import { parseDuration } from '../../api/duration.ts';
import type { Digest } from '../../api/names.ts';
import { compileRegex } from '../../api/regex.ts';
import type { SmokeTest, Validation } from '../../api/validation.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';
import type { Clock } from '../../time/clock.ts';
import type { Engine, EngineInfo, ProbeResult } from '../engine/engine.ts';
import { withLimit } from './limit.ts';

/** What a verdict is valid for: the same content on the same graph and engine, judged by the same tests. */
export const verdictKey = (digest: Digest, info: EngineInfo, validation: Validation): string => {
  const tests = createHash('sha256').update(JSON.stringify(validation)).digest('hex').slice(0, 16);
  return [digest, info.graphDigest, info.engineVersion, tests].join(' ');
};

/** Keys and values beyond int8, as a share, from which on answers are others (docs/adr/0044). */
const maxClipped = 0.01;

/** @throws ADAPTER_PROBE_NOT_FINITE, ADAPTER_NO_EFFECT, ADAPTER_BEYOND_INT8 */
export const judgeProbe = (probe: ProbeResult, engineName: string, validation: Validation): void => {
  if (!probe.finite || !Number.isFinite(probe.maxDifference)) {
    throw new AdaptletError(
      'ADAPTER_PROBE_NOT_FINITE',
      `${engineName}: the probe gave NaN or infinite values`,
    );
  }
  if (probe.maxDifference === 0 && !validation.allowNoEffect) {
    throw new AdaptletError(
      'ADAPTER_NO_EFFECT',
      `${engineName}: the probe gave the same values as the base model, bit for bit`,
    );
  }
  const { clipped = 0 } = probe;
  if (clipped > maxClipped) {
    throw new AdaptletError(
      'ADAPTER_BEYOND_INT8',
      `${engineName}: ${(100 * clipped).toFixed(1)} % of its keys and values are beyond what int8 stands for on this node`,
    );
  }
};

const shown = (text: string): string => quoteUntrusted(text, 80);

/** What is wrong with an answer, or undefined. */
export const judgeAnswer = (answer: string, expect: SmokeTest['expect']): string | undefined => {
  const { contains, equals, regex } = expect;
  if (equals !== undefined && answer !== equals)
    return `answered ${shown(answer)}, expected ${shown(equals)}`;
  if (contains !== undefined && !answer.includes(contains)) {
    return `answered ${shown(answer)}, which does not contain ${shown(contains)}`;
  }
  if (regex !== undefined && !compileRegex(regex).test(answer)) {
    return `answered ${shown(answer)}, which does not match ${shown(regex)}`;
  }
  return undefined;
};

export type Examiner = {
  readonly engine: Engine;
  readonly clock: Clock;
  /** Milliseconds after which a smoke test without a `maxLatency` is given up. */
  readonly limitMs: number;
};

/** What an adapter that classifies answers is a label. */
const labelOf = async (
  engine: Engine,
  engineName: string,
  test: SmokeTest,
  signal: AbortSignal,
): Promise<{ readonly text: string; readonly queueMs: number }> => {
  const requestId = `smoke ${engineName} ${test.name}`;
  const texts = [{ kind: 'text', text: test.prompt }] as const;
  const input = { requestId, engineName, texts, output: 'any' } as const;
  const result = await engine.encode(input, signal);
  if (result.kind === 'classification') return { text: result.rows[0]?.label ?? '', queueMs: 0 };
  const what = `${engineName}: smoke test ${test.name} cannot be run: the adapter gives embeddings, which are no text`;
  throw new AdaptletError('SMOKE_TEST_FAILED', what);
};

const runSmokeTest = async (
  { engine, clock, limitMs }: Examiner,
  engineName: string,
  test: SmokeTest,
  maxLatencyMs: number | undefined,
  outer: AbortSignal,
): Promise<void> => {
  const where = `${engineName}: smoke test ${test.name}`;
  const started = clock.monotonic();
  const limit = { clock, ms: limitMs, code: 'SMOKE_TEST_FAILED', what: `${where} gave no answer` } as const;
  const { text, queueMs } = await withLimit(limit, outer, async (signal) => {
    const input = {
      requestId: `smoke ${engineName} ${test.name}`,
      engineName,
      prompt: { kind: 'text', text: test.prompt },
      maxTokens: test.maxTokens,
      sampling: { temperature: 0, topP: 1, topK: 0 },
      stop: [],
    } as const;
    if (engine.info().task === 'embed') return await labelOf(engine, engineName, test, signal);
    const answer = { text: '', queueMs: 0 };
    for await (const event of engine.generate(input, signal)) {
      if (event.kind === 'token') answer.text += event.text;
      else answer.queueMs = event.timing.queueMs;
    }
    return answer;
  });
  const problem = judgeAnswer(text, test.expect);
  if (problem !== undefined) throw new AdaptletError('SMOKE_TEST_FAILED', `${where} ${problem}`);
  // Waiting behind live requests says nothing about the adapter.
  const tookMs = Math.max(0, clock.monotonic() - started - queueMs);
  if (maxLatencyMs !== undefined && tookMs > maxLatencyMs) {
    throw new AdaptletError(
      'SMOKE_TEST_FAILED',
      `${where} took ${Math.round(tookMs)} ms, allowed are ${maxLatencyMs} ms`,
    );
  }
};

/**
 * Probe and smoke tests of an adapter that is loaded.
 * @throws ADAPTER_PROBE_NOT_FINITE, ADAPTER_NO_EFFECT, ADAPTER_BEYOND_INT8, SMOKE_TEST_FAILED, and those of the engine, which are no verdict
 */
export const examine = async (
  examiner: Examiner,
  engineName: string,
  validation: Validation,
  signal: AbortSignal,
): Promise<void> => {
  judgeProbe(await examiner.engine.probe(engineName), engineName, validation);
  const { maxLatency, smokeTests } = validation;
  const maxLatencyMs = maxLatency === undefined ? undefined : parseDuration(maxLatency);
  for (const test of smokeTests) {
    await runSmokeTest(examiner, engineName, test, maxLatencyMs, signal);
  }
};
