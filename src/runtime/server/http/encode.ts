import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { EncodeResult, EncoderText } from '../../engine/tasks.ts';
import type { EncodeRequest } from '../../serving/serving.ts';
import { requestContext } from '../context.ts';
import { encodeRequest } from '../encode-options.ts';
import type { Parts } from '../exchange.ts';
import { classifyFields, embeddingFields } from '../fields/encoding.ts';
import { reader } from '../fields/parse.ts';
import { answerHeaders } from './answer-headers.ts';
import { handler, readJson } from './handler.ts';
import { jsonAnswer } from './json-answer.ts';

const readEmbeddings = reader(embeddingFields);
const readClassify = reader(classifyFields);

type Body = ReturnType<typeof readClassify>;

const textsOf = (input: Body['input']): readonly EncoderText[] => {
  if (typeof input === 'string') return [{ kind: 'text', text: input }];
  // Numbers are the tokens of one text.
  const ids = input.filter((item) => typeof item === 'number');
  if (ids.length > 0) return [{ kind: 'ids', ids }];
  return input.flatMap((item): EncoderText[] => {
    if (typeof item === 'string') return [{ kind: 'text', text: item }];
    return typeof item === 'number' ? [] : [{ kind: 'ids', ids: item }];
  });
};

const usageOf = ({ promptTokens }: EncodeResult) => ({
  prompt_tokens: promptTokens,
  total_tokens: promptTokens,
});

/** Says of an input that it was cut; OpenAI has no such field. */
const cut = ({ truncated }: EncodeResult, index: number) =>
  truncated.includes(index) ? { truncated: true } : {};

type Kind<B extends Body> = {
  readonly method: string;
  readonly output: EncodeRequest['output'];
  readonly read: (body: unknown) => B;
  /** What the object says of itself besides the data. */
  readonly head: (id: string, created: number) => object;
  readonly data: (result: EncodeResult, body: B) => readonly object[];
};

const encoding = <B extends Body>(parts: Parts, kind: Kind<B>) =>
  handler(parts, kind.method, async (c, exchange, { headers, caller }) => {
    const body = kind.read(await readJson(c));
    const { model, user } = body;
    const context = requestContext(headers, { model, user: user ?? undefined }, caller);
    const request = encodeRequest(textsOf(body.input), kind.output, parts.serving.base);
    const { id, served, result } = await exchange.once(
      context,
      (serving, signal, stages) => serving.encode(context, request, signal, stages),
      ({ promptTokens }) => promptTokens,
    );
    const whole = {
      ...kind.head(id, Math.floor(parts.clock.now() / 1000)),
      object: 'list',
      model,
      system_fingerprint: served.digest,
      data: kind.data(result, body),
      usage: usageOf(result),
    };
    exchange.end();
    return jsonAnswer(c, whole, answerHeaders(exchange, id, served));
  });

const shown = (row: Float32Array, format: 'float' | 'base64'): string | readonly number[] =>
  format === 'base64' ? Buffer.from(row.buffer, row.byteOffset, row.byteLength).toString('base64') : [...row];

/** `POST /v1/embeddings`, as OpenAI has it. */
export const embeddings = (parts: Parts) =>
  encoding(parts, {
    method: '/v1/embeddings',
    output: 'embedding',
    read: readEmbeddings,
    head: () => ({}),
    data: (result, { encoding_format: format }) => {
      if (result.kind !== 'embedding') throw notAskedFor();
      return result.rows.map((row, index) => ({
        object: 'embedding',
        index,
        embedding: shown(row, format ?? 'float'),
        ...cut(result, index),
      }));
    },
  });

/** `POST /v1/classify`, as vLLM has it, with the logits. */
export const classify = (parts: Parts) =>
  encoding(parts, {
    method: '/v1/classify',
    output: 'classification',
    read: readClassify,
    head: (id, created) => ({ id: `classify-${id}`, created }),
    data: (result) => {
      if (result.kind !== 'classification') throw notAskedFor();
      return result.rows.map(({ label, probabilities, logits }, index) => ({
        index,
        label,
        probs: probabilities,
        num_classes: result.labels.length,
        logits,
        ...cut(result, index),
      }));
    },
  });

const notAskedFor = (): AdaptletError =>
  new AdaptletError('INTERNAL', 'the engine answered something else than what was asked for');
