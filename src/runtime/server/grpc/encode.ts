import type { handleUnaryCall, ServerUnaryCall } from '@grpc/grpc-js';
import { AdaptletError, asAdaptletError } from '../../../errors/adaptlet-error.ts';
import type {
  ClassifyRequest,
  ClassifyResponse,
  EmbedRequest,
  EmbedResponse,
  EncoderInput,
  InferenceServer,
} from '../../../gen/adaptlet/inference/v1/inference.ts';
import type { EncodeResult, EncoderText } from '../../engine/tasks.ts';
import type { Answered, EncodeRequest } from '../../serving/serving.ts';
import { requestContext } from '../context.ts';
import { encodeRequest } from '../encode-options.ts';
import type { Exchange, Parts } from '../exchange.ts';
import { askingOf, exchangeOf, reply, servedMetadata } from './call.ts';

type Request = EmbedRequest | ClassifyRequest;

const textOf = ({ input }: EncoderInput, place: number): EncoderText => {
  if (input?.$case === 'text') return { kind: 'text', text: input.value };
  if (input?.$case === 'tokenIds') return { kind: 'ids', ids: input.value.ids };
  throw new AdaptletError('REQUEST_INVALID', `input ${place} has neither text nor token_ids`);
};

const encode = async (
  call: ServerUnaryCall<Request, unknown>,
  exchange: Exchange,
  parts: Parts,
  output: EncodeRequest['output'],
): Promise<Answered<EncodeResult>> => {
  const { model, namespace, user, session, inputs } = call.request;
  const asked = { model, namespace, user, session };
  const { headers, caller } = await askingOf(parts, call, exchange.headers);
  const context = requestContext(headers, asked, caller);
  const request = encodeRequest(inputs.map(textOf), output, parts.serving.base);
  return await exchange.once(
    context,
    (serving, signal, stages) => serving.encode(context, request, signal, stages),
    ({ promptTokens }) => promptTokens,
  );
};

const encoding =
  <Req extends Request, Res>(
    parts: Parts,
    method: string,
    output: EncodeRequest['output'],
    responseOf: (answered: Answered<EncodeResult>) => Res,
  ): handleUnaryCall<Req, Res> =>
  (call, callback) => {
    let exchange: Exchange | undefined;
    const answer = async (): Promise<Res> => {
      exchange = exchangeOf(parts, call, method);
      const answered = await encode(call, exchange, parts, output);
      const response = responseOf(answered);
      exchange.end();
      call.sendMetadata(servedMetadata(answered.id, answered.served));
      return response;
    };
    void reply(callback, answer, (error) => exchange?.fail(error) ?? asAdaptletError(error, method));
  };

const usageOf = ({ promptTokens }: EncodeResult) => ({ promptTokens, completionTokens: 0, cachedTokens: 0 });

const embedResponse = ({ id, served, result }: Answered<EncodeResult>): EmbedResponse => {
  if (result.kind !== 'embedding') throw notAskedFor();
  const embeddings = result.rows.map((row, place) => ({
    values: [...row],
    truncated: result.truncated.includes(place),
  }));
  return { served: { ...served }, id, embeddings, usage: usageOf(result) };
};

const classifyResponse = ({ id, served, result }: Answered<EncodeResult>): ClassifyResponse => {
  if (result.kind !== 'classification') throw notAskedFor();
  const classifications = result.rows.map(({ label, probabilities, logits }, place) => ({
    label,
    probabilities: [...probabilities],
    logits: [...logits],
    truncated: result.truncated.includes(place),
  }));
  return { served: { ...served }, id, labels: [...result.labels], classifications, usage: usageOf(result) };
};

const notAskedFor = (): AdaptletError =>
  new AdaptletError('INTERNAL', 'the engine answered something else than what was asked for');

/** Embed and Classify of `adaptlet.inference.v1.Inference`. */
export const encodeCalls = (parts: Parts): Pick<InferenceServer, 'embed' | 'classify'> => ({
  embed: encoding(parts, 'Inference/Embed', 'embedding', embedResponse),
  classify: encoding(parts, 'Inference/Classify', 'classification', classifyResponse),
});
