import type { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { FinishReason, TakenLogprob, TokenLogprob } from '../../engine/engine.ts';
import type { GenerateRequest } from '../../serving/serving.ts';
import type { TokenCounts } from '../exchange.ts';
import type { ResponseBody } from './response-body.ts';

/** What every object of one response says of itself. */
export type ResponseHead = {
  /** Of the answer, without a prefix. */
  readonly id: string;
  /** Unix time in seconds. */
  readonly created: number;
  readonly body: ResponseBody;
  readonly request: GenerateRequest;
};

/** How far a response is, and what there is of it. */
export type ResponseState = {
  readonly status: 'in_progress' | 'completed' | 'incomplete' | 'failed';
  readonly output: readonly object[];
  readonly counts?: TokenCounts;
  /** Of the answer's tokens. Absent: none. */
  readonly thoughtTokens?: number;
  readonly error?: AdaptletError;
};

/** An answer that reached its limit is incomplete; one that a stop string ended is not. */
export const statusOf = (finish: FinishReason): 'completed' | 'incomplete' =>
  finish === 'length' ? 'incomplete' : 'completed';

const token = ({ token: text, logprob, bytes = [] }: TokenLogprob) => ({ token: text, logprob, bytes });

export const responseLogprobs = (tokens: readonly TakenLogprob[]) =>
  tokens.map((one) => ({ ...token(one), top_logprobs: one.top.map(token) }));

/** The text of a message, as a part of its content. */
export const textPart = (text: string, tokens: readonly TakenLogprob[]) => ({
  type: 'output_text',
  text,
  annotations: [],
  logprobs: responseLogprobs(tokens),
});

export type ItemStatus = 'in_progress' | 'completed' | 'incomplete';

/** An item of the output. */
export const messageItem = (id: string, status: ItemStatus, content: readonly object[]) => ({
  id: `msg_${id}`,
  type: 'message',
  status,
  role: 'assistant',
  content,
});

export const reasoningItem = (
  id: string,
  status: ItemStatus,
  told: { readonly summary?: readonly object[]; readonly content?: readonly object[] },
) => ({ id: `rs_${id}`, type: 'reasoning', status, summary: [], ...told });

/** `call_id` is what the answer of the tool names. */
export const callItem = (
  id: string,
  status: ItemStatus,
  call: { readonly id: string; readonly name: string },
  written: string,
) => ({
  id: `fc_${id}`,
  type: 'function_call',
  status,
  call_id: call.id,
  name: call.name,
  arguments: written,
});

const usageOf = (
  { promptTokens, cachedTokens = 0, completionTokens }: TokenCounts,
  thoughtTokens: number,
) => ({
  input_tokens: promptTokens,
  input_tokens_details: { cached_tokens: cachedTokens },
  output_tokens: completionTokens,
  output_tokens_details: { reasoning_tokens: thoughtTokens },
  total_tokens: promptTokens + completionTokens,
});

/** OpenAI's response object. What was asked for is told again; what is not done here has the value that says so. */
export const responseObject = (
  { id, created, body, request }: ResponseHead,
  { status, output, counts, thoughtTokens = 0, error }: ResponseState,
) => ({
  id: `resp_${id}`,
  object: 'response',
  created_at: created,
  status,
  background: false,
  error: error === undefined ? null : { code: error.code.toLowerCase(), message: error.message },
  incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
  instructions: body.instructions ?? null,
  max_output_tokens: body.max_output_tokens ?? null,
  max_tool_calls: null,
  model: body.model,
  output,
  parallel_tool_calls: body.parallel_tool_calls ?? true,
  previous_response_id: null,
  reasoning: { effort: body.reasoning?.effort ?? null, summary: body.reasoning?.summary ?? null },
  service_tier: 'default',
  store: body.store ?? true,
  temperature: request.sampling.temperature,
  text: { format: body.text?.format ?? { type: 'text' }, verbosity: 'medium' },
  tool_choice: body.tool_choice ?? 'auto',
  tools: body.tools ?? [],
  top_logprobs: body.top_logprobs ?? 0,
  top_p: request.sampling.topP,
  truncation: 'disabled',
  usage: counts === undefined ? null : usageOf(counts, thoughtTokens),
  user: body.user ?? null,
  metadata: body.metadata ?? {},
});
