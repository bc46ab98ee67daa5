import type { ServerWritableStream } from '@grpc/grpc-js';
import { AdaptletError, asAdaptletError } from '../../../errors/adaptlet-error.ts';
import {
  FinishReason,
  type GenerateRequest,
  type GenerateResponse,
  type InferenceServer,
  type Tokens,
  type TokenLogprob as WireLogprob,
} from '../../../gen/adaptlet/inference/v1/inference.ts';
import type {
  Structure as EngineStructure,
  GenerateEvent,
  Prompt,
  TokenLogprob,
} from '../../engine/engine.ts';
import { requestContext } from '../context.ts';
import type { Exchange, Parts } from '../exchange.ts';
import { ofChoices } from '../fields/structure.ts';
import { generateRequest, grpcDefaults, type Options } from '../options.ts';
import { askingOf, drained, exchangeOf, servedMetadata, toServiceError } from './call.ts';
import { encodeCalls } from './encode.ts';
import { feedbackCall } from './feedback.ts';

const method = 'Inference/Generate';
type Call = ServerWritableStream<GenerateRequest, GenerateResponse>;

const promptOf = (prompt: GenerateRequest['prompt']): Prompt => {
  if (prompt === undefined)
    throw new AdaptletError('REQUEST_INVALID', 'the request has no prompt: text, token_ids or chat');
  if (prompt.$case === 'text') return { kind: 'text', text: prompt.value };
  if (prompt.$case === 'tokenIds') return { kind: 'ids', ids: prompt.value.ids };
  return { kind: 'chat', messages: prompt.value.messages.map(({ role, content }) => ({ role, content })) };
};

const seedOf = (seed: bigint | undefined): number | undefined =>
  seed === undefined ? undefined : Number(seed);

const structureOf = (structure: GenerateRequest['structure']): EngineStructure | undefined => {
  const asked = structure?.of;
  if (asked === undefined) {
    if (structure === undefined) return undefined;
    throw new AdaptletError('REQUEST_INVALID', 'structure is empty: json_schema, regex, choice or grammar');
  }
  switch (asked.$case) {
    case 'jsonSchema':
      return { kind: 'json', source: asked.value };
    case 'regex':
      return { kind: 'regex', source: asked.value };
    case 'grammar':
      return { kind: 'lark', source: asked.value };
    case 'choice':
      if (asked.value.texts.length > 0) return ofChoices(asked.value.texts);
      throw new AdaptletError('REQUEST_INVALID', 'structure.choice has no texts');
  }
};

const optionsOf = ({
  maxTokens,
  sampling,
  stop,
  stopTokenIds,
  minTokens,
  ignoreEos,
  badWords,
  logprobs,
  structure,
}: GenerateRequest): Options => ({
  ...sampling,
  seed: seedOf(sampling?.seed),
  maxTokens,
  stop,
  stopTokenIds,
  minTokens,
  ignoreEos,
  badWords,
  logprobs,
  structure: structureOf(structure),
});

const logprobOf = ({ id, token, bytes, logprob }: TokenLogprob): WireLogprob => ({
  id,
  token,
  bytes: bytes === undefined ? undefined : Buffer.from(bytes),
  logprob,
});

const tokensOf = ({ text, ids, logprobs = [] }: Extract<GenerateEvent, { kind: 'token' }>): Tokens => ({
  text,
  ids: [...ids],
  logprobs: logprobs.map(({ top, ...taken }) => ({ taken: logprobOf(taken), top: top.map(logprobOf) })),
});

const messageOf = (
  event: GenerateEvent,
  id: string,
  served: GenerateResponse['served'],
): GenerateResponse => {
  if (event.kind === 'token') {
    return { served, event: { $case: 'tokens', value: tokensOf(event) } };
  }
  const { promptTokens, cachedTokens = 0, completionTokens, timing } = event;
  return {
    served,
    event: {
      $case: 'done',
      value: {
        id,
        finishReason: event.finishReason === 'stop' ? FinishReason.STOP : FinishReason.LENGTH,
        usage: { promptTokens, completionTokens, cachedTokens },
        timing: { ...timing },
      },
    },
  };
};

const stream = async (call: Call, exchange: Exchange, parts: Parts): Promise<void> => {
  const { request } = call;
  const { model, namespace, user, session } = request;
  const { headers, caller } = await askingOf(parts, call, exchange.headers);
  const context = requestContext(headers, { model, namespace, user, session }, caller);
  const options = optionsOf(request);
  const wanted = generateRequest(promptOf(request.prompt), options, grpcDefaults, parts.serving.base);
  const { id, served } = await exchange.begin(context, wanted);
  call.sendMetadata(servedMetadata(id, served));
  let first = true;
  for await (const event of exchange.events()) {
    const tell = first || event.kind === 'done' ? { ...served } : undefined;
    first = false;
    if (!call.write(messageOf(event, id, tell))) await drained(call, exchange, parts);
  }
};

const answer = async (call: Call, parts: Parts): Promise<void> => {
  let exchange: Exchange | undefined;
  try {
    exchange = exchangeOf(parts, call, method);
    await stream(call, exchange, parts);
    exchange.end();
    call.end();
  } catch (error) {
    // grpc-js answers with the status of this event.
    call.emit('error', toServiceError(exchange?.fail(error) ?? asAdaptletError(error, method)));
  }
};

/** `adaptlet.inference.v1.Inference`. */
export const inferenceService = (parts: Parts): InferenceServer => ({
  ...encodeCalls(parts),
  ...feedbackCall(parts),
  generate(call) {
    void answer(call, parts);
  },
});
