import { expect, it } from 'vitest';
import type { EngineOptions } from '../../src/runtime/engine/client/client.ts';
import { waitFor } from '../support/wait.ts';
import { launchTiny } from './support/engine.ts';
import { operator } from './support/operator.ts';

/** Lines of a start about attention. */
const saidOfAttention = async (options: Partial<EngineOptions>): Promise<readonly string[]> => {
  const { engine, log } = launchTiny(options);
  await waitFor('the engine', () => engine.state === 'ready');
  await engine.close();
  return log.map((line) => JSON.stringify(line)).filter((line) => line.includes('attention is'));
};

it('a start says once why near ties may change answers, and what that means', async () => {
  const [int8, off, usual] = await Promise.all([
    saidOfAttention({ kvPrecision: 'int8' }),
    saidOfAttention({ loraOperator: 'off' }),
    saidOfAttention({}),
  ]);
  const line = (why: string): unknown =>
    expect.stringMatching(
      `attention is ONNX Runtime's, by which guessed tokens and other requests of a step may change an answer at a near tie: ${why}`,
    );
  expect(int8).toEqual([line('keys and values are int8')]);
  expect(off).toEqual([line('the native operator is not used')]);
  expect(usual).toEqual(operator === undefined ? [line('the native operator is not used')] : []);
});
