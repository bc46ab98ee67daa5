import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';
import type {
  RepositoryModelLoadRequest,
  RepositoryModelUnloadRequest,
} from '../../../gen/inference/grpc_service.ts';
import type { Admin } from '../../admin/admin.ts';
import type { ModelCard } from '../../serving/serving.ts';
import { type Asking, askedNamespace, requestContext } from '../context.ts';
import type { Exchange, Parts } from '../exchange.ts';
import { loadParameters, unloadParameters } from '../fields/oip.ts';
import { generateRequest, grpcDefaults } from '../options.ts';
import { type InferCall, inferTensors, inferTexts, tensorsOf } from './answers.ts';
import { generatedOutputs, type OutputName, readOutputs, readPrompt } from './infer.ts';
import { readInferParameters, refuseParameters } from './parameters.ts';
import { repositoryIndex, subjectOf } from './repository.ts';
import type { InferAnswer } from './response.ts';

export type OipParts = Parts & { readonly admin: Admin; readonly version: string };

/** A version is the digest of what serves, or at least its first 12 digits. '' is any. */
const isVersion = (version: string, digest: string): boolean =>
  version === '' ||
  version === digest ||
  (/^[0-9a-f]{12,64}$/.test(version) && digest.startsWith(`sha256:${version}`));

const expectVersion = (model: string, version: string, digest: string): void => {
  if (!isVersion(version, digest))
    throw new AdaptletError(
      'MODEL_NOT_FOUND',
      `version ${quoteUntrusted(version)} of ${model} is not what serves; that is ${digest || 'nothing'}`,
      { advice: 'Ask for no version, or for the digest that serves.' },
    );
};

/** A generation that began: its outputs in the order asked for. */
type Begun = Pick<InferAnswer, 'id' | 'served'> & { readonly names: readonly OutputName[] };

const begin = async ({ request, asking, exchange, parts }: InferCall): Promise<Begun> => {
  const { options, ...identity } = readInferParameters(request.parameters);
  const { headers, caller } = asking;
  const context = requestContext(headers, { model: request.modelName, ...identity }, caller);
  // Before anything is generated: what is asked for must exist.
  const names = readOutputs(request);
  const wanted = generateRequest(readPrompt(request), options, grpcDefaults, parts.serving.base);
  const { id, served } = await exchange.begin(context, wanted);
  expectVersion(request.modelName, request.modelVersion, served.digest);
  return { id, served, names };
};

type Done = Awaited<ReturnType<Exchange['collect']>>['done'];

const countsOf = ({ promptTokens, completionTokens }: Done) => ({
  prompt_tokens: promptTokens,
  completion_tokens: completionTokens,
});

const inferPrompt = async (call: InferCall): Promise<InferAnswer> => {
  const { id, served, names } = await begin(call);
  const { text, ids, done } = await call.exchange.collect();
  const outputs = generatedOutputs(names, { text, ids, finishReason: done.finishReason });
  return { id, served, counts: countsOf(done), outputs };
};

/**
 * The answer to one request, by what the base model does.
 * @throws REQUEST_INVALID, REQUEST_UNSUPPORTED, MODEL_NOT_FOUND, and what serving throws
 */
export const infer = async (call: InferCall): Promise<InferAnswer> => {
  const { task } = call.parts.serving.base;
  if (task === 'generate') return await inferPrompt(call);
  const answer = await (task === 'embed' ? inferTexts(call) : inferTensors(call));
  expectVersion(call.request.modelName, call.request.modelVersion, answer.served.digest);
  return answer;
};

/**
 * The answer in parts: of generated text one for each step, then one with the reason why it ended. The last one, and of
 * other tasks the only one, has `triton_final_response` true, as Triton's decoupled models do.
 * @throws as {@link infer}
 */
export async function* inferParts(call: InferCall): AsyncGenerator<InferAnswer, void> {
  const final = { triton_final_response: true };
  if (call.parts.serving.base.task !== 'generate') {
    const answer = await infer(call);
    yield { ...answer, counts: { ...answer.counts, ...final } };
    return;
  }
  const { id, served, names } = await begin(call);
  for await (const event of call.exchange.events()) {
    if (event.kind === 'done') {
      const outputs = generatedOutputs(names, { text: '', ids: [], finishReason: event.finishReason });
      yield { id, served, counts: { ...countsOf(event), ...final }, outputs };
      return;
    }
    const outputs = generatedOutputs(names, event);
    if (outputs.length > 0) yield { id, served, counts: { triton_final_response: false }, outputs };
  }
}

/** What the Open Inference Protocol tells about the server and its models, for gRPC and REST alike. */
export const openInference = ({ serving, admin, version: own }: OipParts) => {
  const cardOf = (model: string, { headers, caller }: Asking): ModelCard => {
    const context = requestContext(headers, { model }, caller);
    return serving.model(context.namespace, context.model);
  };
  return {
    server: (extensions: readonly string[]) => ({
      name: 'adaptlet',
      version: own,
      extensions: ['model_repository', 'model_repository(unload_dependents)', ...extensions],
    }),
    /** An unknown name is not ready, as in Triton. */
    isReady(name: string, version: string, asking: Asking): boolean {
      try {
        const card = cardOf(name, asking);
        return card.ready && serving.ready().ok && isVersion(version, card.digest);
      } catch (error) {
        if (error instanceof AdaptletError && error.code === 'MODEL_NOT_FOUND') return false;
        throw error;
      }
    },
    metadata(name: string, version: string, asking: Asking) {
      const card = cardOf(name, asking);
      expectVersion(name, version, card.digest);
      return {
        name,
        versions: card.digest === '' ? [] : [card.digest],
        platform: 'onnxruntime_onnx',
        ...tensorsOf(serving.base, card.labels),
      };
    },
    index: (repository: string, readyOnly: boolean, { headers, caller }: Asking) =>
      repositoryIndex(serving.models(askedNamespace(headers, caller, repository)), readyOnly),
    async load(request: RepositoryModelLoadRequest, asking: Asking, signal: AbortSignal): Promise<void> {
      refuseParameters(loadParameters, request.parameters);
      const { key } = subjectOf(request, serving, asking);
      // The base model is loaded for as long as the runtime runs.
      if (key !== undefined) await admin.preload(key, signal);
    },
    async unload(request: RepositoryModelUnloadRequest, asking: Asking, signal: AbortSignal): Promise<void> {
      refuseParameters(unloadParameters, request.parameters);
      const { key, card, isOwn } = subjectOf(request, serving, asking);
      if (key === undefined)
        throw new AdaptletError('VERB_REFUSED', `${card.id} is the base model: it cannot be unloaded`);
      // Whoever reaches a loopback port has not said who it is.
      await admin.evict(key, signal, { evenPinned: isOwn });
    },
  };
};
