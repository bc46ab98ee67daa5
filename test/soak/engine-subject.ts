import { AdaptletError } from '../../src/errors/adaptlet-error.ts';
import type { EngineClient } from '../../src/runtime/engine/client/client.ts';
import type { GenerateInput } from '../../src/runtime/engine/engine.ts';
import type { Plan } from './requests.ts';
import type { Resident } from './residents.ts';
import type { Part, Subject } from './traffic.ts';

/** An engine process under test; its targets are what is in its memory, undefined for the base model. */
export const engineSubject = (engine: EngineClient): Subject<Resident | undefined> => {
  let sent = 0;
  // One namespace is sure of two rows and of a part of the memory: pieces of others' prompts and their rows make way for it.
  const sure = { guaranteed: 2, kvGuaranteedBytes: (engine.info().kv?.budgetBytes ?? 0) / 4 };
  return {
    async *open(plan, resident, signal): AsyncGenerator<Part> {
      sent += 1;
      const adapter = resident?.adapter ?? null;
      for await (const event of engine.generate(inputOf(plan, resident, sent, sure), signal)) {
        if (event.kind === 'token') yield { kind: 'token', adapter, ids: event.ids, text: event.text };
        else {
          const { finishReason: finish, promptTokens, completionTokens, cachedTokens = 0 } = event;
          yield { kind: 'done', adapter, finish, promptTokens, completionTokens, cachedTokens };
        }
      }
    },
    codeOf: (error) => (error instanceof AdaptletError ? error.code : undefined),
  };
};

const sureTenant = 'tenant-0';

const inputOf = (
  { promptIds, maxTokens, sampling, tenant, priority }: Plan,
  resident: Resident | undefined,
  number: number,
  sure: Pick<GenerateInput, 'guaranteed' | 'kvGuaranteedBytes'>,
): GenerateInput => ({
  requestId: `soak-${number}`,
  engineName: resident?.engineName ?? null,
  prompt: { kind: 'ids', ids: promptIds },
  maxTokens,
  sampling,
  stop: [],
  // Who asks, and what was asked before, may change when an answer comes, never what it says.
  namespace: tenant,
  ...(tenant === sureTenant ? sure : {}),
  scope: 'soak',
  priority,
});
