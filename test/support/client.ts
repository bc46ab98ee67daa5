import { credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { AdminClient, type StatusResponse } from '../../src/gen/adaptlet/inference/v1/admin.ts';
import {
  type GenerateRequest,
  type GenerateResponse,
  InferenceClient,
  type Served,
  type Timing,
} from '../../src/gen/adaptlet/inference/v1/inference.ts';

export type Ask = {
  readonly model: string;
  readonly prompt: string;
  readonly user?: string;
  readonly session?: string;
  readonly namespace?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly maxTokens?: number;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
};

export type Answer = {
  readonly text: string;
  readonly served: Served;
  readonly timing: Timing;
  readonly tokens: number;
  /** From the call to the first message with tokens, and to the end; milliseconds. */
  readonly firstMs: number;
  readonly totalMs: number;
};

/** A failed call: the gRPC status code, our error code and the message. */
export class CallError extends Error {
  readonly status: number;
  readonly code: string;
  constructor(error: ServiceError) {
    super(error.details, { cause: error });
    this.status = error.code;
    this.code = error.metadata?.get('x-adaptlet-error')[0]?.toString() ?? '';
  }
}

const requestOf = (ask: Ask): GenerateRequest => ({
  namespace: ask.namespace ?? '',
  model: ask.model,
  prompt: { $case: 'text', value: ask.prompt },
  maxTokens: ask.maxTokens ?? 16,
  sampling: undefined,
  stop: [],
  stopTokenIds: [],
  badWords: [],
  structure: undefined,
  user: ask.user ?? '',
  session: ask.session ?? '',
});

/** Calls of a running node, as tests, demo and benches make them. */
export class NodeClient {
  readonly inference: InferenceClient;
  readonly admin: AdminClient;

  constructor(grpcAddress: string, adminAddress: string) {
    this.inference = new InferenceClient(grpcAddress, credentials.createInsecure());
    this.admin = new AdminClient(adminAddress, credentials.createInsecure());
  }

  async ask(ask: Ask): Promise<Answer> {
    const started = performance.now();
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(ask.headers ?? {})) metadata.set(name, value);
    const stream = this.inference.generate(requestOf(ask), metadata, {
      deadline: Date.now() + (ask.timeoutMs ?? 30_000),
    });
    const onAbort = (): void => stream.cancel();
    ask.signal?.addEventListener('abort', onAbort);
    let text = '';
    let firstMs = 0;
    let last: GenerateResponse | undefined;
    try {
      for await (const response of stream as AsyncIterable<GenerateResponse>) {
        if (response.event?.$case === 'tokens') {
          if (firstMs === 0) firstMs = performance.now() - started;
          text += response.event.value.text;
        }
        last = response;
      }
    } catch (error) {
      throw new CallError(error as ServiceError);
    } finally {
      ask.signal?.removeEventListener('abort', onAbort);
    }
    if (last?.event?.$case !== 'done' || last.served === undefined)
      throw new Error('the stream ended without done');
    const { timing, usage } = last.event.value;
    if (timing === undefined) throw new Error('done came without timing');
    return {
      text,
      served: last.served,
      timing,
      tokens: usage?.completionTokens ?? 0,
      firstMs,
      totalMs: performance.now() - started,
    };
  }

  status(): Promise<StatusResponse> {
    return new Promise((resolve, reject) => {
      this.admin.status({}, (error, status) =>
        error === null ? resolve(status) : reject(new CallError(error)),
      );
    });
  }

  close(): void {
    this.inference.close();
    this.admin.close();
  }
}
