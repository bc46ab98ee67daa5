import type { EngineClient } from '../../../src/runtime/engine/client/client.ts';
import type { GenerateInput, Sampling } from '../../../src/runtime/engine/engine.ts';
import type { Send } from './crowd.ts';

export type SendOptions = {
  /** Beside greedy sampling. */
  readonly sampling?: Partial<Sampling>;
  /** Whose requests they are. */
  readonly tenant?: string;
};

/** Greedy answers of an engine. */
export const sendTo =
  (engine: EngineClient, { sampling = {}, tenant }: SendOptions = {}): Send =>
  async (ask, token, signal) => {
    const input: GenerateInput = {
      requestId: 'bench',
      engineName: ask.adapter,
      prompt: { kind: 'ids', ids: ask.prompt },
      maxTokens: ask.maxTokens,
      sampling: { temperature: 0, topK: 0, topP: 1, ...sampling },
      stop: [],
      ...(tenant === undefined ? {} : { tenant }),
    };
    for await (const event of engine.generate(input, signal))
      if (event.kind === 'token') for (const _ of event.ids) token();
  };
