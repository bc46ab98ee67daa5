import { AdaptletError, asAdaptletError } from '../errors/adaptlet-error.ts';
import { type RoundRobinLimits, RoundRobinQueue } from '../fair/round-robin-queue.ts';
import type { MeasurementResult } from '../rollout/analysis/measurement.ts';
import type { Clock } from '../time/clock.ts';
import { unlessAborted } from '../time/unless-aborted.ts';
import { type ExternalSource, type Measure, measurementTimeoutMs, type Variables } from './source.ts';

export type MeasurementsOptions = {
  readonly clock: Clock;
  readonly measure: Measure;
  /** Called, never from within `ask`, when there is a result of the metric. */
  readonly changed: (id: string) => void;
  /** Groups are namespaces. */
  readonly limits?: RoundRobinLimits;
};

/** A status holds it. */
const maxErrorCharacters = 1024;

const defaultLimits: RoundRobinLimits = { running: 16, runningOfGroup: 4, waitingOfGroup: 256 };

type Measurement = {
  readonly id: string;
  readonly number: number;
  readonly source: ExternalSource;
  readonly variables: Variables;
  /** Source and variables, to compare with. */
  readonly question: string;
  readonly controller: AbortController;
  result: MeasurementResult | undefined;
};

const errorOf = (error: unknown): MeasurementResult => {
  const { message } = asAdaptletError(error, 'the measurement failed');
  return {
    error: message.length > maxErrorCharacters ? `${message.slice(0, maxErrorCharacters - 1)}…` : message,
  };
};

/**
 * Measurements of metrics by servers, in the background: a reconcile asks, goes on, and is called when there is a
 * result. One measurement of a metric at a time, and the last one is kept. A full queue gives an error as the result.
 */
export class Measurements implements Disposable {
  readonly #options: MeasurementsOptions;
  readonly #queue: RoundRobinQueue<Measurement>;
  readonly #measurements = new Map<string, Measurement>();
  #closed = false;

  constructor(options: MeasurementsOptions) {
    this.#options = options;
    this.#queue = new RoundRobinQueue(options.limits ?? defaultLimits);
  }

  /**
   * Starts measurement `number` of the metric `id`. Nothing happens when that is under way or done, or when an earlier
   * one is under way: ask again when it is done. Where source or variables are others than those of the one under way
   * or done, that one is given up.
   */
  ask(id: string, number: number, source: ExternalSource, variables: Variables): void {
    if (this.#closed) return;
    const question = JSON.stringify([source, variables]);
    const known = this.#measurements.get(id);
    const stays = known?.question === question && (known.number === number || known.result === undefined);
    if (stays) return;
    if (known !== undefined) this.#giveUp(known);
    const controller = new AbortController();
    const asked = { id, number, source, variables, question, controller, result: undefined };
    this.#measurements.set(id, asked);
    if (this.#queue.add(variables.namespace, asked)) this.#startWaiting();
    else queueMicrotask(() => this.#settle(asked, errorOf(queueFull(variables.namespace))));
  }

  /** Undefined until there is one, and when a later measurement was asked for. */
  result(id: string, number: number): MeasurementResult | undefined {
    const known = this.#measurements.get(id);
    return known?.number === number ? known.result : undefined;
  }

  /** Gives up and forgets all metrics but these. */
  forget(idsToKeep: ReadonlySet<string>): void {
    for (const [id, known] of this.#measurements) if (!idsToKeep.has(id)) this.#giveUp(known);
  }

  /** Ends everything that is under way; from here on nothing starts and nobody is called. */
  [Symbol.dispose](): void {
    this.#closed = true;
    this.forget(new Set());
  }

  #giveUp(known: Measurement): void {
    this.#measurements.delete(known.id);
    this.#queue.remove(known.variables.namespace, known);
    known.controller.abort(new Error('nobody asks for this measurement any more'));
  }

  #startWaiting(): void {
    for (let next = this.#queue.take(); next !== undefined; next = this.#queue.take()) void this.#run(next);
  }

  async #run(asked: Measurement): Promise<void> {
    const { source, variables, controller } = asked;
    const cancel = this.#options.clock.after(measurementTimeoutMs, () => controller.abort(timedOut()));
    let result: MeasurementResult;
    try {
      const work = this.#options.measure(source, variables, controller.signal);
      result = { value: await unlessAborted(work, controller.signal) };
    } catch (error) {
      result = errorOf(error);
    }
    cancel();
    this.#queue.done(variables.namespace);
    this.#startWaiting();
    this.#settle(asked, result);
  }

  #settle(asked: Measurement, result: MeasurementResult): void {
    if (this.#measurements.get(asked.id) !== asked) return;
    asked.result = result;
    this.#options.changed(asked.id);
  }
}

const timedOut = (): AdaptletError =>
  new AdaptletError(
    'METRIC_UNAVAILABLE',
    `the server of the metric gave no whole answer within ${measurementTimeoutMs / 1000} s`,
  );

const queueFull = (namespace: string): AdaptletError =>
  new AdaptletError('METRIC_UNAVAILABLE', `too many measurements of the namespace ${namespace} wait`, {
    advice: 'It is asked again by itself; use fewer metrics or longer intervals when this repeats.',
  });
