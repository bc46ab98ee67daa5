import type { handleUnaryCall } from '@grpc/grpc-js';
import { AdaptletError, asAdaptletError } from '../../../../errors/adaptlet-error.ts';
import type {
  GRPCInferenceServiceServer,
  ModelInferRequest,
  ModelInferResponse,
} from '../../../../gen/inference/grpc_service.ts';
import type { Admin } from '../../../admin/admin.ts';
import { type Headers, requestContext } from '../../context.ts';
import type { Exchange, Parts } from '../../exchange.ts';
import { loadParameters, unloadParameters } from '../../fields/oip.ts';
import { generateRequest, grpcDefaults } from '../../options.ts';
import { exchangeOf, headersOf, reply, servedMetadata, unary } from '../call.ts';
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

const inferPrompt = async ({ request, headers, exchange, parts }: InferCall): Promise<InferAnswer> => {
  const { options, ...identity } = readInferParameters(request.parameters);
  const context = requestContext(headers, { model: request.modelName, ...identity }, parts.defaultNamespace);
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
      const headers = headersOf(call.metadata);
      const { id, served, response } = await infer({ request: call.request, headers, exchange, parts });
      exchange.end();
      call.sendMetadata(servedMetadata(id, served));
      return response;
    };
    void reply(callback, answer, (error) => exchange?.fail(error) ?? asAdaptletError(error, method));
  };

/** Open Inference Protocol v2 with Triton's repository extension. */
export const oipService = (parts: OipParts): GRPCInferenceServiceServer => {
  const { serving, admin } = parts;
  const namespaceOf = (headers: Headers): string =>
    requestContext(headers, { model: 'any' }, parts.defaultNamespace).namespace;
  return {
    serverLive: unary(parts, 'ServerLive', () => ({ live: true })),
    serverReady: unary(parts, 'ServerReady', () => ({ ready: serving.ready().ok })),
    serverMetadata: unary(parts, 'ServerMetadata', () => ({
      name: 'adaptlet',
      version: parts.version,
      extensions: ['model_repository', 'model_repository(unload_dependents)'],
    })),
    modelReady: unary(parts, 'ModelReady', ({ name, version }, headers) => {
      try {
        const card = serving.model(namespaceOf(headers), name);
        return { ready: card.ready && serving.ready().ok && isVersion(version, card.digest) };
      } catch (error) {
        if (error instanceof AdaptletError && error.code === 'MODEL_NOT_FOUND') return { ready: false };
        throw error;
      }
    }),
    modelMetadata: unary(parts, 'ModelMetadata', ({ name, version }, headers) => {
      const card = serving.model(namespaceOf(headers), name);
      expectVersion(name, version, card.digest);
      return {
        name,
        versions: card.digest === '' ? [] : [card.digest],
        platform: 'onnxruntime_onnx',
        ...tensorsOf(serving.base, card.labels),
      };
    }),
    modelInfer: modelInfer(parts),
    repositoryIndex: unary(parts, 'RepositoryIndex', ({ repositoryName, ready }, headers) =>
      repositoryIndex(serving.models(repositoryName === '' ? namespaceOf(headers) : repositoryName), ready),
    ),
    repositoryModelLoad: unary(parts, 'RepositoryModelLoad', async (request, headers, signal) => {
      refuseParameters(loadParameters, request.parameters);
      const { key } = subjectOf(request, serving, namespaceOf(headers));
      // The base model is loaded for as long as the runtime runs.
      if (key !== undefined) await admin.preload(key, signal);
      return {};
    }),
    repositoryModelUnload: unary(parts, 'RepositoryModelUnload', async (request, headers, signal) => {
      refuseParameters(unloadParameters, request.parameters);
      const { key, card } = subjectOf(request, serving, namespaceOf(headers));
      if (key === undefined)
        throw new AdaptletError('VERB_REFUSED', `${card.id} is the base model: it cannot be unloaded`);
      await admin.evict(key, signal);
      return {};
    }),
  };
};
