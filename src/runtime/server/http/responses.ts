import { AnswerReader } from '../chat/answer-reader.ts';
import { askResponse } from '../chat/ask-response.ts';
import { requestContext } from '../context.ts';
import type { Exchange, Parts } from '../exchange.ts';
import { generateRequest } from '../options.ts';
import { answerHeaders } from './answer-headers.ts';
import { handler, readJson } from './handler.ts';
import { jsonAnswer } from './json-answer.ts';
import { KeptItems } from './kept-items.ts';
import { readResponse } from './response-body.ts';
import { responseEvents } from './response-events.ts';
import { ResponseOutput } from './response-output.ts';
import { type ResponseState, responseObject, statusOf } from './response-shapes.ts';
import { streamed } from './streamed.ts';

const method = '/v1/responses';

/** Without a limit an answer ends with the room for it, as a chat does. */
const defaults = { maxTokens: Infinity, temperature: 1 };

/** Reads all of an answer: how far it came. */
const collect = async (exchange: Exchange, output: ResponseOutput): Promise<ResponseState['status']> => {
  let status: ResponseState['status'] = 'in_progress';
  for await (const one of exchange.events()) {
    if (one.kind === 'token') {
      output.push(one);
      continue;
    }
    output.end(one.finishReason);
    status = statusOf(one.finishReason);
  }
  return status;
};

/**
 * The handler of OpenAI's Responses API, whole or streamed. Each request brings its whole conversation; in place of items of earlier
 * answers there may be references to them.
 */
export const responses = (parts: Parts) => {
  const kept = new KeptItems();
  return handler(parts, method, async (c, exchange, { headers, caller }) => {
    const body = readResponse(await readJson(c));
    const context = requestContext(headers, { model: body.model, user: body.user ?? undefined }, caller);
    const { base } = parts.serving;
    const { prompt, options, form } = askResponse(body, base, (id) => kept.get(context, id));
    const request = generateRequest(prompt, options, defaults, base);
    const { id, served } = await exchange.begin(context, request);
    const head = { id, created: Math.floor(parts.clock.now() / 1000), body, request };
    const summarised = (body.reasoning?.summary ?? undefined) !== undefined;
    const reader = new AnswerReader({ ...form, id });
    const output = new ResponseOutput(id, reader, summarised ? 'summary' : 'content');
    const keep = (): void => {
      if (body.store !== false) kept.keep(context, output.items);
    };
    const told = answerHeaders(exchange, id, served);
    if (body.stream === true)
      return streamed(responseEvents(exchange, head, { output, method, keep }), exchange, parts, told);
    const status = await collect(exchange, output);
    keep();
    const whole = responseObject(head, {
      status,
      output: output.items,
      counts: exchange.counts,
      thoughtTokens: output.thoughtTokens,
    });
    exchange.end();
    return jsonAnswer(c, whole, told);
  });
};
