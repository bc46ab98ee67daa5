import { expect, it } from 'vitest';
import type { RuntimeStatus } from '../admin/views.ts';
import type { EngineLoad } from '../engine/engine.ts';
import { FakeAdmin } from '../server/testing/fake-admin.ts';
import { gaugesOf } from './gauges.ts';

const idle: EngineLoad = {
  running: 0,
  waiting: 0,
  kvUsedBytes: 0,
  kvBudgetBytes: 100,
  kvHeldBytes: 0,
  kvSparableBytes: 0,
  preemptions: 0,
  overdueTurns: 0,
  fairness: { jain: 1, lag: 0 },
  decodeSteps: 0,
  decodedTokens: 0,
  promptTokens: 0,
  cachedTokens: 0,
  speculation: { drafts: 0, draftTokens: 0, acceptedTokens: 0 },
  limits: [],
};

const gaugesWith = (
  inEngine: number,
  engine: Partial<EngineLoad> | undefined,
  forAdapter = 0,
  status: Partial<RuntimeStatus> = {},
) =>
  gaugesOf(
    { ...new FakeAdmin().status(), ...status },
    {
      inEngine,
      maxConcurrent: 8,
      forAdapter,
      engine: engine === undefined ? undefined : { ...idle, ...engine },
      mirrored: {},
      peers: undefined,
      deltas: { results: {}, savedBytes: 0 },
      prefetched: {
        disk: { broughtBytes: 0, wastedBytes: 0, hits: 0 },
        ram: { broughtBytes: 0, wastedBytes: 0, hits: 0 },
      },
      quotas: [],
      store: { usedBytes: 0, budgetBytes: 0, damaged: 0, awaited: 0 },
    },
  );
const requestsOf = (...given: Parameters<typeof gaugesWith>) => gaugesWith(...given).requests;

it.each([
  ['all of a few run', 3, { running: 3 }, { running: 3, waiting: 0 }],
  ['beyond the rows they wait', 11, { running: 8, waiting: 3 }, { running: 8, waiting: 3 }],
  [
    'where keys and values have room for one, one runs',
    8,
    { running: 1, waiting: 7 },
    { running: 1, waiting: 7 },
  ],
  [
    'one that came since waits behind those that wait',
    9,
    { running: 5, waiting: 3 },
    { running: 5, waiting: 4 },
  ],
  ['those that came to an idle engine run', 2, {}, { running: 2, waiting: 0 }],
  ['more than there are never run', 1, { running: 4, waiting: 2 }, { running: 1, waiting: 0 }],
  ['an engine that said nothing yet has all rows', 9, undefined, { running: 8, waiting: 1 }],
])('requests that run, and that wait: %s', (_, inEngine, engine, expected) => {
  expect(requestsOf(inEngine, engine)).toEqual(expected);
  expect(requestsOf(inEngine, engine, 2)).toEqual({ ...expected, waiting: expected.waiting + 2 });
});

it('pickers are told how many blocks of keys and values there are, none before the base model is loaded', () => {
  const kv = { precision: 'float32', bytesPerToken: 100, requests: 2, tokens: 5, because: '' } as const;
  const keysAndValues = { ...kv, budgetBytes: 16 * 100 * 7 + 99 };
  expect(gaugesWith(0, undefined, 0, { keysAndValues }).cacheBlocks).toBe(7);
  const { keysAndValues: _, ...loading } = new FakeAdmin().status();
  const load = { inEngine: 0, maxConcurrent: 8, forAdapter: 0, engine: undefined };
  expect(
    gaugesOf(loading, {
      ...load,
      mirrored: {},
      peers: undefined,
      deltas: { results: {}, savedBytes: 0 },
      prefetched: {
        disk: { broughtBytes: 0, wastedBytes: 0, hits: 0 },
        ram: { broughtBytes: 0, wastedBytes: 0, hits: 0 },
      },
      quotas: [],
      store: { usedBytes: 0, budgetBytes: 0, damaged: 0, awaited: 0 },
    }).cacheBlocks,
  ).toBe(0);
});
