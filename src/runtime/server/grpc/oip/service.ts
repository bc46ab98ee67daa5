import type { handleUnaryCall } from '@grpc/grpc-js';
import { AdaptletError, asAdaptletError } from '../../../../errors/adaptlet-error.ts';
import type {
  GRPCInferenceServiceServer,
  ModelInferRequest,
  ModelInferResponse,
} from '../../../../gen/inference/grpc_service.ts';
import type { Admin } from '../../../admin/admin.ts';
import type { ModelCard } from '../../../serving/serving.ts';
import { askedNamespace, requestContext } from '../../context.ts';
import type { Exchange, Parts } from '../../exchange.ts';
import { loadParameters, unloadParameters } from '../../fields/oip.ts';
import { generateRequest, grpcDefaults } from '../../options.ts';
import { type Asking, askingOf, exchangeOf, knownUnary, reply, servedMetadata, unary } from '../call.ts';
import { type InferAnswer, type InferCall, inferTensors, inferTexts, tensorsOf } from './answers.ts';
import { inferResponse, readOutputs, readPrompt } from './infer.ts';
import { readInferParameters, refuseParameters } from './parameters.ts';
import { repositoryIndex, subjectOf } from './repository.ts';

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
      `version ${version} of ${model} is not what serves; that is ${digest || 'nothing'}`,
      { advice: 'Ask for no version, or for the digest that serves.' },
    );
};

/** Answers by what the base model does. */
const infer = async (call: InferCall): Promise<InferAnswer> => {
  const { task } = call.parts.serving.base;
  if (task === 'generate') return await inferPrompt(call);
  const answer = await (task === 'embed' ? inferTexts(call) : inferTensors(call));
  expectVersion(call.request.modelName, call.request.modelVersion, answer.served.digest);
  return answer;
};

const inferPrompt = async ({ request, asking, exchange, parts }: InferCall): Promise<InferAnswer> => {
  const { options, ...identity } = readInferParameters(request.parameters);
  const { headers, caller } = asking;
  const context = requestContext(headers, { model: request.modelName, ...identity }, caller);
  // Before anything is generated: what is asked for must exist.
  readOutputs(request);
  const wanted = generateRequest(readPrompt(request), options, grpcDefaults, parts.serving.base);
  const { id, served } = await exchange.begin(context, wanted);
  expectVersion(request.modelName, request.modelVersion, served.digest);
  return { id, served, response: inferResponse(request, served, await exchange.collect()) };
};

const modelInfer =
  (parts: Parts): handleUnaryCall<ModelInferRequest, ModelInferResponse> =>
  (call, callback) => {
    const method = 'GRPCInferenceService/ModelInfer';
    let exchange: Exchange | undefined;
    const answer = async (): Promise<ModelInferResponse> => {
      exchange = exchangeOf(parts, call, method);
      const asking = await askingOf(parts, call);
      const { id, served, response } = await infer({ request: call.request, asking, exchange, parts });
      exchange.end();
      call.sendMetadata(servedMetadata(id, served));
      return response;
    };
    void reply(callback, answer, (error) => exchange?.fail(error) ?? asAdaptletError(error, method));
  };

/** Open Inference Protocol v2 with Triton's repository extension. */
export const oipService = (parts: OipParts): GRPCInferenceServiceServer => {
  const { serving, admin } = parts;
  const cardOf = (model: string, { headers, caller }: Asking): ModelCard => {
    const context = requestContext(headers, { model }, caller);
    return serving.model(context.namespace, context.model);
  };
  return {
    serverLive: unary(parts, 'ServerLive', () => ({ live: true })),
    serverReady: unary(parts, 'ServerReady', () => ({ ready: serving.ready().ok })),
    serverMetadata: unary(parts, 'ServerMetadata', () => ({
      name: 'adaptlet',
      version: parts.version,
      extensions: ['model_repository', 'model_repository(unload_dependents)'],
    })),
    modelReady: knownUnary(parts, 'ModelReady', ({ name, version }, asking) => {
      try {
        const card = cardOf(name, asking);
        return { ready: card.ready && serving.ready().ok && isVersion(version, card.digest) };
      } catch (error) {
        if (error instanceof AdaptletError && error.code === 'MODEL_NOT_FOUND') return { ready: false };
        throw error;
      }
    }),
    modelMetadata: knownUnary(parts, 'ModelMetadata', ({ name, version }, asking) => {
      const card = cardOf(name, asking);
      expectVersion(name, version, card.digest);
      return {
        name,
        versions: card.digest === '' ? [] : [card.digest],
        platform: 'onnxruntime_onnx',
        ...tensorsOf(serving.base, card.labels),
      };
    }),
    modelInfer: modelInfer(parts),
    repositoryIndex: knownUnary(parts, 'RepositoryIndex', ({ repositoryName, ready }, { headers, caller }) =>
      repositoryIndex(serving.models(askedNamespace(headers, caller, repositoryName)), ready),
    ),
    repositoryModelLoad: knownUnary(parts, 'RepositoryModelLoad', async (request, asking, signal) => {
      refuseParameters(loadParameters, request.parameters);
      const { key } = subjectOf(request, serving, asking);
      // The base model is loaded for as long as the runtime runs.
      if (key !== undefined) await admin.preload(key, signal);
      return {};
    }),
    repositoryModelUnload: knownUnary(parts, 'RepositoryModelUnload', async (request, asking, signal) => {
      refuseParameters(unloadParameters, request.parameters);
      const { key, card, isOwn } = subjectOf(request, serving, asking);
      if (key === undefined)
        throw new AdaptletError('VERB_REFUSED', `${card.id} is the base model: it cannot be unloaded`);
      // Whoever reaches a loopback port has not said who it is.
      await admin.evict(key, signal, { evenPinned: isOwn });
      return {};
    }),
  };
};
