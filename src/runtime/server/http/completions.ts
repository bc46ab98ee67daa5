import type { Context } from 'hono';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Prompt } from '../../engine/engine.ts';
import { requestContext } from '../context.ts';
import type { Exchange, Parts } from '../exchange.ts';
import { generateRequest, type OptionDefaults } from '../options.ts';
import { servedHeaders } from '../wire.ts';
import { type ChatBody, type CompletionBody, completionOptions } from './bodies.ts';
import { type Asking, handler, readJson } from './handler.ts';
import { endOf } from './logprobs.ts';
import { problemBody } from './problem.ts';

import { type Head, type Shape, usageOf } from './shapes.ts';
import { sse } from './sse.ts';

export type Kind<Body extends CompletionBody | ChatBody> = {
  readonly shape: Shape;
  readonly read: (body: unknown) => Body;
  readonly prompt: (body: Body) => Prompt;
  readonly defaults: OptionDefaults;
};

/** The data lines of a streamed answer. Its end, good or bad, ends the exchange. */
async function* lines(
  exchange: Exchange,
  shape: Shape,
  head: Head,
  withUsage: boolean,
): AsyncGenerator<string, void> {
  // Clients that asked for usage expect the field in every chunk, null until the last.
  const line = (chunk: object): string => JSON.stringify(withUsage ? { usage: null, ...chunk } : chunk);
  let ended = false;
  // Where in the answer the next token begins.
  let offset = 0;
  try {
    const opening = shape.opening(head);
    if (opening !== undefined) yield line(opening);
    for await (const event of exchange.events()) {
      if (event.kind === 'token') {
        const scored = event.logprobs === undefined ? undefined : { tokens: event.logprobs, offset };
        // Each token tells its probability, also while its text is held back.
        if (event.text !== '' || scored !== undefined) yield line(shape.chunk(head, event.text, scored));
        if (scored !== undefined) offset = endOf(scored);
        continue;
      }
      yield line(shape.closing(head, event.finishReason));
      if (withUsage) yield line(shape.usage(head, usageOf(event)));
    }
    // Before the last line is sent: many clients hang up as soon as they read it, and that is no cancellation.
    ended = true;
    exchange.end();
    yield '[DONE]';
  } catch (error) {
    ended = true;
    yield JSON.stringify(problemBody(exchange.fail(error)));
  } finally {
    if (!ended)
      exchange.fail(new AdaptletError('REQUEST_CANCELLED', `the caller of ${shape.method} went away`));
  }
}

const answer = async <Body extends CompletionBody | ChatBody>(
  c: Context,
  exchange: Exchange,
  parts: Parts,
  { headers, caller }: Asking,
  { shape, read, prompt, defaults }: Kind<Body>,
): Promise<Response> => {
  const body = read(await readJson(c));
  const context = requestContext(headers, { model: body.model, user: body.user ?? undefined }, caller);
  const request = generateRequest(prompt(body), completionOptions(body), defaults, parts.serving.base);
  const { id, served } = await exchange.begin(context, request);
  const head = {
    id: shape.idPrefix + id,
    created: Math.floor(parts.clock.now() / 1000),
    model: body.model,
    served,
  };
  const answerHeaders = new Headers(servedHeaders(id, served));
  if (body.stream !== true) {
    const made = await exchange.collect();
    const scored = request.logprobs === undefined ? undefined : { tokens: made.logprobs, offset: 0 };
    const whole = shape.whole(head, made, scored);
    exchange.end();
    return Response.json(whole, { headers: answerHeaders });
  }
  answerHeaders.set('content-type', 'text/event-stream; charset=utf-8');
  answerHeaders.set('cache-control', 'no-cache');
  // Proxies that buffer would hold the tokens back.
  answerHeaders.set('x-accel-buffering', 'no');
  const stream = sse(lines(exchange, shape, head, body.stream_options?.include_usage === true), {
    clock: parts.clock,
    slowClientMs: parts.slowClientMs,
    onSlow: () => exchange.tooSlow(),
    onGone: () => exchange.cancel(),
  });
  return new Response(stream, { headers: answerHeaders });
};

/** The handler of one kind of completion, whole or streamed. A client that disconnects ends the generation. */
export const completions = <Body extends CompletionBody | ChatBody>(parts: Parts, kind: Kind<Body>) =>
  handler(parts, kind.shape.method, (c, exchange, asking) => answer(c, exchange, parts, asking, kind));
