import { AdaptletError } from '../../../../src/errors/adaptlet-error.ts';
import { ModelInferRequest } from '../../../../src/gen/inference/grpc_service.ts';
import { inOrder } from '../../../../src/runtime/engine/infer/check-inputs.ts';
import { askChat } from '../../../../src/runtime/server/chat/ask-chat.ts';
import { askResponse } from '../../../../src/runtime/server/chat/ask-response.ts';
import { classifyFields, embeddingFields } from '../../../../src/runtime/server/fields/encoding.ts';
import { reader } from '../../../../src/runtime/server/fields/parse.ts';
import { askCompletion, readChat, readCompletion } from '../../../../src/runtime/server/http/bodies.ts';
import { problemBody } from '../../../../src/runtime/server/http/problem.ts';
import { readResponse } from '../../../../src/runtime/server/http/response-body.ts';
import { readTensor } from '../../../../src/runtime/server/oip/datatypes.ts';
import { readEncoderTexts } from '../../../../src/runtime/server/oip/encode.ts';
import { readOutputs, readPrompt } from '../../../../src/runtime/server/oip/infer.ts';
import { readInferParameters } from '../../../../src/runtime/server/oip/parameters.ts';
import { inputData } from '../../../../src/runtime/server/oip/tensors.ts';
import { generateRequest, grpcDefaults } from '../../../../src/runtime/server/options.ts';
import { answersTo, promptsOf } from '../../../../src/runtime/serving/choices.ts';
import { jsonTexts } from '../examples.ts';
import { json } from '../mutators/json.ts';
import { protobuf } from '../mutators/protobuf.ts';
import { must, type Target, textOf } from '../target.ts';

const base = { contextLength: 2048, vocabSize: 49_152 };
const defaults = { maxTokens: 16, temperature: 1 };
const tooled = { calls: 'hermes', parallel: true, thinks: true, effort: ['enable_thinking'] } as const;

/** As the handler of a request does it. */
const parsed = (bytes: Uint8Array): unknown => {
  try {
    return JSON.parse(textOf(bytes));
  } catch (cause) {
    throw new AdaptletError('REQUEST_INVALID', 'the body is not JSON', { cause });
  }
};

/** A refusal has to fit into an answer. */
const explained = <T>(read: () => T): T => {
  try {
    return read();
  } catch (error) {
    if (error instanceof AdaptletError)
      must(
        JSON.stringify(problemBody(error)).length < 64 * 1024,
        `an answer of ${error.message.length} characters`,
      );
    throw error;
  }
};

const check = (request: ReturnType<typeof generateRequest>): string => {
  const { prompt, maxTokens, sampling } = request;
  const prompts = promptsOf(request);
  must(answersTo(request) <= 128, `${answersTo(request)} answers`);
  must(Number.isSafeInteger(sampling.seed ?? 0), `a seed of ${sampling.seed}`);
  must(maxTokens >= 1 && maxTokens <= base.contextLength, `max_tokens is ${maxTokens}`);
  must(sampling.temperature >= 0 && sampling.temperature <= 2, `a temperature of ${sampling.temperature}`);
  for (const one of prompts)
    if (one.kind === 'ids')
      must(
        one.ids.every((id) => id >= 0 && id < base.vocabSize),
        'a token of no vocabulary',
      );
  return prompt.kind;
};

const codes = ['REQUEST_INVALID', 'REQUEST_UNSUPPORTED', 'PROMPT_TOO_LONG', 'STRUCTURE_TOO_COMPLEX'] as const;

const completion: Target = {
  name: 'completion-body',
  reads: 'src/runtime/server/http/bodies.ts, fields',
  examples: () =>
    jsonTexts(
      {
        model: 'sql',
        prompt: 'Hi',
        max_tokens: 8,
        temperature: 0.7,
        top_p: 0.9,
        stop: ['\n'],
        stream: true,
        seed: 1,
      },
      {
        model: 'sql',
        prompt: [1, 2, 3],
        logit_bias: { 7: -100 },
        logprobs: 3,
        stream_options: { include_usage: true },
      },
      {
        model: 'sql',
        prompt: [[1, 2], [3]],
        top_k: -1,
        min_p: 0.1,
        repetition_penalty: 1.1,
        stop_token_ids: [2],
        min_tokens: 4,
        ignore_eos: true,
        bad_words: ['a', 'b c'],
        n: 2,
        guided_choice: ['a', 'b'],
      },
    ),
  mutators: [json],
  codes,
  run: (bytes) =>
    explained(() => {
      const { prompt, options } = askCompletion(readCompletion(parsed(bytes)));
      return check(generateRequest(prompt, options, defaults, base));
    }),
};

const chat: Target = {
  name: 'chat-body',
  reads: 'src/runtime/server/http/bodies.ts, fields',
  examples: () =>
    jsonTexts(
      {
        model: 'sql',
        messages: [{ role: 'user', content: 'Hi' }],
        max_completion_tokens: 5,
        logprobs: true,
        top_logprobs: 2,
      },
      {
        model: 'sql',
        messages: [
          { role: 'developer', content: 'x' },
          {
            role: 'user',
            content: [
              { type: 'text', text: 'a' },
              { type: 'text', text: 'b' },
            ],
          },
        ],
        tools: [],
        response_format: {
          type: 'json_schema',
          json_schema: { name: 'x', strict: true, schema: { properties: { a: { enum: [1] } } } },
        },
      },
      {
        model: 'sql',
        messages: [
          { role: 'user', content: 'x', name: 'anna' },
          {
            role: 'assistant',
            content: null,
            reasoning: 'hm',
            tool_calls: [{ id: 'c1', type: 'function', function: { name: 'f', arguments: '{"a": [1]}' } }],
          },
          { role: 'tool', tool_call_id: 'c1', content: '2' },
        ],
        tools: [
          {
            type: 'function',
            function: {
              name: 'f',
              description: 'x',
              parameters: { type: 'object', properties: { a: {} } },
              strict: true,
            },
          },
        ],
        tool_choice: { type: 'function', function: { name: 'f' } },
        parallel_tool_calls: false,
        chat_template_kwargs: { enable_thinking: false },
      },
    ),
  mutators: [json],
  codes,
  run: (bytes) =>
    explained(() => {
      const { prompt, options } = askChat(readChat(parsed(bytes)), { chat: tooled });
      const kind = check(generateRequest(prompt, options, defaults, base));
      return `${kind} ${options.structure?.kind ?? ''}`;
    }),
};

const responses: Target = {
  name: 'response-body',
  reads: 'src/runtime/server/http/response-body.ts, chat/input-items.ts',
  examples: () =>
    jsonTexts(
      { model: 'sql', input: 'Hi', instructions: 'be brief', max_output_tokens: 5, top_p: 0.5 },
      {
        model: 'sql',
        input: [
          { role: 'developer', content: 'x' },
          { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'a' }] },
          {
            id: 'msg_1',
            type: 'message',
            role: 'assistant',
            status: 'completed',
            content: [{ type: 'output_text', text: 'b', annotations: [], logprobs: [] }],
          },
        ],
        include: ['message.output_text.logprobs'],
        top_logprobs: 2,
        text: { format: { type: 'json_schema', name: 'x', strict: true, schema: { type: 'object' } } },
      },
      {
        model: 'sql',
        input: [
          { role: 'user', content: 'x' },
          { type: 'reasoning', id: 'rs_1', summary: [], content: [{ type: 'reasoning_text', text: 'hm' }] },
          { type: 'function_call', id: 'fc_1', call_id: 'c1', name: 'f', arguments: '{"a": [1]}' },
          { type: 'function_call_output', call_id: 'c1', output: [{ type: 'input_text', text: '2' }] },
        ],
        tools: [{ type: 'function', name: 'f', parameters: { type: 'object', properties: { a: {} } } }],
        tool_choice: { type: 'function', name: 'f' },
        parallel_tool_calls: false,
        reasoning: { effort: 'low', summary: 'auto' },
        chat_template_kwargs: { enable_thinking: true },
      },
    ),
  mutators: [json],
  codes: [...codes, 'ITEM_NOT_FOUND'],
  run: (bytes) =>
    explained(() => {
      const { prompt, options } = askResponse(readResponse(parsed(bytes)), { chat: tooled }, () => undefined);
      const kind = check(generateRequest(prompt, options, defaults, base));
      return `${kind} ${options.structure?.kind ?? ''}`;
    }),
};

const readEmbeddings = reader(embeddingFields);
const readClassify = reader(classifyFields);

const encoding: Target = {
  name: 'embedding-body',
  reads: 'src/runtime/server/fields/encoding.ts',
  examples: () =>
    jsonTexts(
      { model: 'x', input: 'a', encoding_format: 'base64' },
      { model: 'x', input: ['a', 'b'], user: 'u' },
      { model: 'x', input: [[1, 2], [3]], truncate_prompt_tokens: -1 },
    ),
  mutators: [json],
  codes,
  run: (bytes) =>
    explained(() => {
      const body = parsed(bytes);
      readClassify(body);
      return typeof readEmbeddings(body).input;
    }),
};

const inferRequest = (request: Parameters<typeof ModelInferRequest.fromPartial>[0]): Uint8Array =>
  ModelInferRequest.encode(ModelInferRequest.fromPartial({ modelName: 'sql', id: '1', ...request })).finish();

const tensor = (name: string, datatype: string, shape: bigint[]) => ({ name, datatype, shape });

/** Specs of a graph of plain tensors. */
const specs = [{ name: 'x', type: 'float32', shape: [-1, 2] }] as const;

class Undecodable extends Error {}

const infer: Target = {
  name: 'infer-request',
  reads: 'src/runtime/server/oip',
  examples: () => [
    inferRequest({
      inputs: [tensor('text', 'BYTES', [1n])],
      rawInputContents: [Buffer.from('\x02\x00\x00\x00Hi')],
      parameters: {
        max_tokens: { parameterChoice: { $case: 'int64Param', value: 5n } },
        user: { parameterChoice: { $case: 'stringParam', value: 'u' } },
      },
      outputs: [{ name: 'text' }],
    }),
    inferRequest({
      inputs: [tensor('input_ids', 'INT64', [1n, 2n])],
      rawInputContents: [Buffer.alloc(16, 1)],
    }),
    inferRequest({ inputs: [tensor('x', 'FP32', [1n, 2n])], rawInputContents: [Buffer.alloc(8)] }),
    // Seed 52494: the answer had 67,590 characters.
    inferRequest({
      inputs: [tensor('x', 'FP32', Array<bigint>(3333).fill(2n ** 63n - 1n))],
      rawInputContents: [Buffer.alloc(8)],
    }),
  ],
  mutators: [protobuf],
  codes,
  throws: (error) => error instanceof Undecodable,
  run: (bytes) => {
    let request: ModelInferRequest;
    try {
      request = ModelInferRequest.decode(bytes);
    } catch (cause) {
      throw new Undecodable('no message', { cause });
    }
    const ways: readonly (() => unknown)[] = [
      () =>
        check(
          generateRequest(
            readPrompt(request),
            readInferParameters(request.parameters).options,
            grpcDefaults,
            base,
          ),
        ),
      () => readOutputs(request),
      () => readEncoderTexts(request),
      () => inOrder(inputData(request).map(readTensor), specs),
    ];
    const taken = ways.map((way) => {
      try {
        explained(way);
        return '1';
      } catch (error) {
        if (error instanceof AdaptletError && codes.some((code) => code === error.code)) return '0';
        throw error;
      }
    });
    return taken.join('');
  },
};

export const requestTargets: readonly Target[] = [completion, chat, responses, encoding, infer];
