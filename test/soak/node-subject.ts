import { Metadata } from '@grpc/grpc-js';
import {
  FinishReason,
  type GenerateRequest,
  type GenerateResponse,
  type Served,
} from '../../src/gen/adaptlet/inference/v1/inference.ts';
import { CallError } from '../support/client.ts';
import type { TestNode } from '../support/node.ts';
import type { Report } from './report.ts';
import type { Plan } from './requests.ts';
import type { Part, Subject } from './traffic.ts';

/** The status of a call that its client gave up. */
const cancelled = 1;

/** Names of models that requests can ask for: adapters, rollouts, the base. */
type Model = string;

const requestOf = ({ promptIds, maxTokens, sampling, session }: Plan, model: Model): GenerateRequest => {
  const { temperature, seed, logitBias = [] } = sampling;
  return {
    namespace: '',
    model,
    prompt: { $case: 'tokenIds', value: { ids: [...promptIds] } },
    maxTokens,
    sampling: {
      temperature,
      seed: seed === undefined ? undefined : BigInt(seed),
      logitBias: Object.fromEntries(logitBias),
    },
    stop: [],
    stopTokenIds: [],
    badWords: [],
    structure: undefined,
    user: '',
    session: session ?? '',
  };
};

/** A running node under test. What answered is known by the digest that the answer names. */
export const nodeSubject = (
  node: TestNode,
  adapterOf: (digest: string) => string | null,
  report: Report,
): Subject<Model> => ({
  async *open(plan, model, signal): AsyncGenerator<Part> {
    const metadata = new Metadata();
    metadata.set('x-adaptlet-tenant', plan.tenant);
    const stream = node.client.inference.generate(requestOf(plan, model), metadata, {
      deadline: Date.now() + 60_000,
    });
    const cancel = (): void => stream.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    let served: Served | undefined;
    try {
      for await (const response of stream as AsyncIterable<GenerateResponse>) {
        if (served === undefined && response.served?.arm === 'canary') report.counts.ofCanary += 1;
        served = response.served ?? served;
        const part = partOf(response, adapterOf(served?.digest ?? ''));
        if (part !== undefined) yield part;
      }
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  },
  codeOf: (error) => {
    if (!(error instanceof Error) || !('metadata' in error)) return undefined;
    // Calls of the generated client fail with this one only.
    const { status: code, code: ours } = new CallError(error as ConstructorParameters<typeof CallError>[0]);
    return code === cancelled ? 'REQUEST_CANCELLED' : ours;
  },
});

const partOf = ({ event }: GenerateResponse, adapter: string | null): Part | undefined => {
  if (event?.$case === 'tokens')
    return { kind: 'token', adapter, ids: event.value.ids, text: event.value.text };
  if (event?.$case !== 'done') return undefined;
  const { usage, finishReason } = event.value;
  return {
    kind: 'done',
    adapter,
    finish: finishReason === FinishReason.STOP ? 'stop' : 'length',
    promptTokens: usage?.promptTokens ?? -1,
    completionTokens: usage?.completionTokens ?? -1,
    cachedTokens: usage?.cachedTokens ?? 0,
  };
};
