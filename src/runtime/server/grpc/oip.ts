import type { handleUnaryCall } from '@grpc/grpc-js';
import { asAdaptletError } from '../../../errors/adaptlet-error.ts';
import type {
  GRPCInferenceServiceServer,
  ModelInferRequest,
  ModelInferResponse,
} from '../../../gen/inference/grpc_service.ts';
import type { Exchange, Parts } from '../exchange.ts';
import { infer, type OipParts, openInference } from '../oip/oip.ts';
import { inferResponse } from '../oip/response.ts';
import { askingOf, exchangeOf, knownUnary, reply, servedMetadata, unary } from './call.ts';
import { modelStreamInfer } from './oip-stream.ts';

const modelInfer =
  (parts: Parts): handleUnaryCall<ModelInferRequest, ModelInferResponse> =>
  (call, callback) => {
    const method = 'GRPCInferenceService/ModelInfer';
    const { request } = call;
    let exchange: Exchange | undefined;
    const answer = async (): Promise<ModelInferResponse> => {
      exchange = exchangeOf(parts, call, method);
      const asking = await askingOf(parts, call, exchange.headers);
      const made = await infer({ request, asking, exchange, parts });
      const response = inferResponse(request, made);
      exchange.end();
      call.sendMetadata(servedMetadata(made.id, made.served));
      return response;
    };
    void reply(callback, answer, (error) => exchange?.fail(error) ?? asAdaptletError(error, method));
  };

/** Open Inference Protocol v2 over gRPC, with Triton's repository extension and its stream. */
export const oipService = (parts: OipParts): GRPCInferenceServiceServer => {
  const oip = openInference(parts);
  return {
    serverLive: unary(parts, 'ServerLive', () => ({ live: true })),
    serverReady: unary(parts, 'ServerReady', () => ({ ready: parts.serving.ready().ok })),
    serverMetadata: unary(parts, 'ServerMetadata', () => oip.server([])),
    modelReady: knownUnary(parts, 'ModelReady', ({ name, version }, asking) => ({
      ready: oip.isReady(name, version, asking),
    })),
    modelMetadata: knownUnary(parts, 'ModelMetadata', ({ name, version }, asking) =>
      oip.metadata(name, version, asking),
    ),
    modelInfer: modelInfer(parts),
    modelStreamInfer: modelStreamInfer(parts),
    repositoryIndex: knownUnary(parts, 'RepositoryIndex', ({ repositoryName, ready }, asking) =>
      oip.index(repositoryName, ready, asking),
    ),
    repositoryModelLoad: knownUnary(parts, 'RepositoryModelLoad', async (request, asking, signal) => {
      await oip.load(request, asking, signal);
      return {};
    }),
    repositoryModelUnload: knownUnary(parts, 'RepositoryModelUnload', async (request, asking, signal) => {
      await oip.unload(request, asking, signal);
      return {};
    }),
  };
};
