import type { Context } from 'hono';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { TakenLogprob } from '../../engine/engine.ts';
import { answersTo } from '../../serving/choices.ts';
import type { Serving } from '../../serving/serving.ts';
import { type AnswerReader, answerReaders } from '../chat/answer-reader.ts';
import type { Asked } from '../chat/asked.ts';
import { type Asking, requestContext } from '../context.ts';
import type { Exchange, Parts } from '../exchange.ts';
import { generateRequest, type OptionDefaults } from '../options.ts';
import { answerHeaders } from './answer-headers.ts';
import type { ChatBody, CompletionBody } from './bodies.ts';
import { handler, readJson } from './handler.ts';
import { jsonAnswer } from './json-answer.ts';
import { endOf, type Scored, scoredFirst } from './logprobs.ts';
import { problemBody } from './problem.ts';
import { type Head, type Shape, usageOf } from './shapes.ts';
import { streamed } from './streamed.ts';

export type Kind<Body extends CompletionBody | ChatBody> = {
  readonly shape: Shape;
  readonly read: (body: unknown) => Body;
  readonly ask: (body: Body, base: Serving['base']) => Asked;
  readonly defaults: OptionDefaults;
};

/** Each token tells its probability, also while its text is held back. */
const nothing = { kind: 'content', text: '' } as const;

/** The data lines of a streamed answer. Its end, good or bad, ends the exchange. */
async function* lines(
  exchange: Exchange,
  shape: Shape,
  head: Head,
  { readers, withUsage }: { readonly readers: readonly AnswerReader[]; readonly withUsage: boolean },
): AsyncGenerator<string, void> {
  // Clients that asked for usage expect the field in every chunk, null until the last.
  const line = (chunk: object): string => JSON.stringify(withUsage ? { usage: null, ...chunk } : chunk);
  let ended = false;
  // Where in each answer its next token begins.
  const offsets = new Map<number, number>();
  try {
    for (const choice of readers.keys()) {
      const opening = shape.opening(head, choice);
      if (opening !== undefined) yield line(opening);
    }
    for await (const event of exchange.events()) {
      const { choice = 0 } = event;
      const reader = readers[choice];
      if (reader === undefined) continue;
      if (event.kind === 'done') {
        for (const part of reader.end()) yield line(shape.chunk(head, choice, part, undefined));
        yield line(shape.closing(head, choice, reader.finish(event.finishReason)));
        continue;
      }
      const { logprobs, echo } = event;
      const offset = offsets.get(choice);
      const tell = (tokens: readonly TakenLogprob[]): Scored =>
        offset === undefined ? scoredFirst(tokens, echo) : { tokens, offset };
      const scored = logprobs && tell(logprobs);
      const text = (echo?.text ?? '') + event.text;
      const [first = scored === undefined ? undefined : nothing, ...more] = reader.push(text);
      if (first !== undefined) yield line(shape.chunk(head, choice, first, scored));
      for (const part of more) yield line(shape.chunk(head, choice, part, undefined));
      if (scored !== undefined) offsets.set(choice, endOf(scored));
    }
    if (withUsage) yield line(shape.usage(head, usageOf(exchange.counts)));
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
  { shape, read, ask, defaults }: Kind<Body>,
): Promise<Response> => {
  const body = read(await readJson(c));
  const context = requestContext(headers, { model: body.model, user: body.user ?? undefined }, caller);
  const { base } = parts.serving;
  const { prompt, options, form } = ask(body, base);
  const request = generateRequest(prompt, options, defaults, base);
  const { id, served } = await exchange.begin(context, request);
  const head = {
    id: shape.idPrefix + id,
    created: Math.floor(parts.clock.now() / 1000),
    model: body.model,
    served,
  };
  const readers = answerReaders(form, id, answersTo(request));
  const told = answerHeaders(exchange, id, served);
  if (body.stream !== true) {
    const made = await exchange.collectAll();
    const choices = readers.flatMap((reader, choice) => {
      const one = made[choice];
      if (one === undefined) return [];
      const scored = request.logprobs === undefined ? undefined : scoredFirst(one.logprobs, one.echo);
      const said = [...reader.push((one.echo?.text ?? '') + one.text), ...reader.end()];
      return [{ parts: said, finish: reader.finish(one.done.finishReason), scored }];
    });
    const whole = shape.whole(head, choices, usageOf(exchange.counts));
    exchange.end();
    return jsonAnswer(c, whole, told);
  }
  const withUsage = body.stream_options?.include_usage === true;
  const data = lines(exchange, shape, head, { readers, withUsage });
  return streamed(data, exchange, parts, told);
};

/** The handler of one kind of completion, whole or streamed. A client that disconnects ends the generation. */
export const completions = <Body extends CompletionBody | ChatBody>(parts: Parts, kind: Kind<Body>) =>
  handler(parts, kind.shape.method, (c, exchange, asking) => answer(c, exchange, parts, asking, kind));
