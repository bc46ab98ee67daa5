import type { handleBidiStreamingCall, ServerDuplexStream } from '@grpc/grpc-js';
import { asAdaptletError } from '../../../errors/adaptlet-error.ts';
import type { ModelInferRequest, ModelStreamInferResponse } from '../../../gen/inference/grpc_service.ts';
import { Exchange, type Parts } from '../exchange.ts';
import { inferParts } from '../oip/oip.ts';
import { failedResponse, inferResponse } from '../oip/response.ts';
import { askingOf, drained, headersOf, onCancelled, timeLeft, toServiceError } from './call.ts';

const method = 'GRPCInferenceService/ModelStreamInfer';

/** Requests of one stream that are answered at the same time. More of them wait on the wire. */
export const maxAtOnce = 32;

type Call = ServerDuplexStream<ModelInferRequest, ModelStreamInferResponse>;

/** One request of a stream: its parts, or the one message that says why there are none. Never throws. */
const answer = async (call: Call, request: ModelInferRequest, exchange: Exchange, parts: Parts) => {
  const send = async (message: ModelStreamInferResponse): Promise<void> => {
    if (!call.write(message)) await drained(call, exchange, parts);
  };
  try {
    const asking = await askingOf(parts, call, exchange.headers);
    for await (const part of inferParts({ request, asking, exchange, parts }))
      await send({ errorMessage: '', inferResponse: inferResponse(request, part) });
    exchange.end();
  } catch (error) {
    const failure = exchange.fail(error);
    if (call.writable) call.write(failedResponse(request, failure));
  }
};

/**
 * Triton's stream of requests, each answered by the parts of its generation. Answers of several requests mix: the id tells
 * them apart. A request that fails ends with `error_message`, and the stream goes on.
 */
export const modelStreamInfer =
  (parts: Parts): handleBidiStreamingCall<ModelInferRequest, ModelStreamInferResponse> =>
  (call) => {
    const live = new Set<Exchange>();
    let asksNoMore = false;
    const leave = (): void => {
      if (asksNoMore && live.size === 0) call.end();
    };
    /** Errors wait for the reader as well: a client that takes none of them is asked for no more. */
    const goOn = (): void => {
      if (live.size < maxAtOnce && !call.writableNeedDrain) call.resume();
    };
    const begin = (request: ModelInferRequest): void => {
      const timeoutMs = timeLeft(call, parts.clock);
      const headers = headersOf(call.metadata);
      const exchange = new Exchange(parts, { protocol: 'grpc', method, headers, timeoutMs });
      live.add(exchange);
      if (live.size >= maxAtOnce) call.pause();
      void answer(call, request, exchange, parts).finally(() => {
        live.delete(exchange);
        if (call.writableNeedDrain) call.pause();
        goOn();
        leave();
      });
    };
    // Each request that waits for the reader listens for it.
    call.setMaxListeners(maxAtOnce + 16);
    onCancelled(
      call,
      parts.clock,
      (reason) => {
        for (const exchange of live) exchange.abort(reason());
      },
      method,
    );
    call.on('drain', goOn);
    call.on('data', (request: ModelInferRequest) => {
      try {
        begin(request);
      } catch (error) {
        // Headers over their limits: they are those of the whole stream. grpc-js answers with the status of this event.
        call.emit('error', toServiceError(asAdaptletError(error, method)));
      }
    });
    call.on('end', () => {
      asksNoMore = true;
      leave();
    });
  };
