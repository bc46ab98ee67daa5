import { AdaptletError, asAdaptletError, errorCodeOf } from '../../../errors/adaptlet-error.ts';
import { Batcher } from '../batch/batcher.ts';
import { RequestRoom } from '../batch/request-room.ts';
import type { EngineInfo } from '../engine.ts';
import type { EngineHost } from '../host/engine-host.ts';
import type { BatchOptions, HostOptions } from '../host/options.ts';
import { StepClock } from '../host/step-clock.ts';
import { Mutex } from '../mutex.ts';
import { flowOf } from '../schedule/fair-queue.ts';
import type { InferInput, InferResult, NamedTensor } from '../tasks.ts';
import { inOrder } from './check-inputs.ts';
import type { InferModel } from './infer-model.ts';
import { commonRows, formOf, joinRows, splitRows } from './rows.ts';

type Tensors = readonly NamedTensor[];
type Result = { readonly outputs: Tensors } | { readonly error: unknown };

/** A graph of plain tensors within the engine process. It takes no adapters. */
export class InferHost implements EngineHost {
  readonly #model: InferModel;
  readonly steps: StepClock;
  readonly #turns = new Mutex();
  readonly #batcher: Batcher<Tensors, Result>;
  readonly #room: RequestRoom;

  constructor(model: InferModel, options: HostOptions & BatchOptions) {
    this.#model = model;
    this.steps = new StepClock(options.clock);
    this.#room = new RequestRoom(options);
    this.#batcher = new Batcher({
      limits: { maxRows: options.maxBatch, maxTokens: Infinity },
      maxDelayMs: options.maxBatchDelayMs,
      clock: options.clock,
      run: (batch) => {
        const rows = batch.reduce((sum, piece) => sum + piece.rows, 0);
        const tensors = batch.map(({ work }) => work);
        return this.#turns.run(() => this.steps.time(Math.max(1, rows), () => this.#run(tensors)));
      },
    });
  }

  get info(): EngineInfo {
    return this.#model.info;
  }

  load(): Promise<never> {
    return Promise.reject(noAdapters());
  }
  unload(): Promise<never> {
    return Promise.reject(noAdapters());
  }
  probe(): Promise<never> {
    return Promise.reject(noAdapters());
  }

  /**
   * Runs the graph, together with rows of others that wait.
   * @throws REQUEST_INVALID, QUEUE_FULL, INFER_FAILED
   */
  async infer(id: number, input: InferInput): Promise<InferResult> {
    const flow = flowOf(input, null);
    using _place = this.#room.enter(id, flow, (error) => this.#batcher.cancel(id, error));
    const { inputs: specs, batching } = this.#model.session.tensors;
    const inputs = inOrder(input.inputs, specs);
    const rows = batching ? commonRows(inputs) : 1;
    if (rows === undefined) {
      throw new AdaptletError(
        'REQUEST_INVALID',
        'the inputs have different first dimensions, which the model takes as rows',
      );
    }
    const key = batching && rows > 0 ? formOf(inputs) : undefined;
    const cost = inputs.reduce((bytes, { data }) => bytes + data.byteLength, 0);
    const piece = { key, rows, length: 1, cost, work: inputs };
    const [result] = await this.#batcher.add({ request: id, flow }, [piece]);
    if (result !== undefined && 'outputs' in result) return { outputs: result.outputs };
    throw asAdaptletError(result?.error, 'infer');
  }

  cancel(id: number): void {
    this.#batcher.cancel(id);
    this.#room.leave(id);
  }

  async close(): Promise<void> {
    this.#batcher.stop();
    await this.#turns.run(() => this.#model.session.release());
  }

  async #run(batch: readonly Tensors[]): Promise<readonly Result[]> {
    const together = batch.length > 1 ? await this.#together(batch) : undefined;
    if (together !== undefined) return together.map((outputs) => ({ outputs }));
    const results: Result[] = [];
    for (const inputs of batch) results.push(await this.#alone(inputs));
    return results;
  }

  /** Undefined when each has to be run by itself: the values of one must not fail the others. */
  async #together(batch: readonly Tensors[]): Promise<readonly Tensors[] | undefined> {
    const outputs = await this.#model.session.run(joinRows(batch)).catch((error: unknown) => {
      if (errorCodeOf(error) === 'INFER_FAILED') return undefined;
      throw error;
    });
    const counts = batch.map((inputs) => commonRows(inputs) ?? 0);
    return outputs === undefined ? undefined : splitRows(outputs, counts);
  }

  async #alone(inputs: Tensors): Promise<Result> {
    try {
      return { outputs: await this.#model.session.run(inputs) };
    } catch (error) {
      return { error };
    }
  }
}

const noAdapters = (): AdaptletError =>
  new AdaptletError(
    'TASK_UNSUPPORTED',
    'The base model is a graph of plain tensors, which takes no adapters',
  );
