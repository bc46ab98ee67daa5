import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import type { ErrorCode } from '../../../errors/catalogue.ts';
import type { ServedBy } from '../../routing/request.ts';
import { metrics } from './names.ts';

/**
 * Keeps the number of label values bounded: the first `size` distinct values are kept, all later ones become `other`.
 * An adapter per user must not become a time series per user.
 */
export class LabelBudget {
  readonly #seen = new Set<string>();
  readonly #size: number;

  constructor(size: number) {
    this.#size = size;
  }

  /** The value itself, or `other`. '' costs nothing. */
  bounded(value: string): string {
    if (value === '' || this.#seen.has(value)) return value;
    if (this.#seen.size >= this.#size) return 'other';
    this.#seen.add(value);
    return value;
  }
}

/** Reads at a scrape; nothing is pushed. */
class ScrapeReader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

/** Seconds. From one decode step of a small model to the longest request that is allowed by default. */
const durationBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Distinct adapters, rollouts and callers that get series of their own. */
export const labelBudgets = { adapters: 100, rollouts: 100, callers: 100 } as const;

export type Labels = {
  readonly served: ServedBy | undefined;
  readonly protocol: string;
  readonly code: ErrorCode | 'OK';
};

/** Counters and histograms, kept by OpenTelemetry. */
export class Counters {
  readonly #reader = new ScrapeReader({ cardinalitySelector: () => 4000 });
  readonly #provider = new MeterProvider({ readers: [this.#reader] });
  readonly #serializer = new PrometheusSerializer('', false, undefined, true, true);
  readonly #adapters = new LabelBudget(labelBudgets.adapters);
  readonly #rollouts = new LabelBudget(labelBudgets.rollouts);
  readonly #callerNames = new LabelBudget(labelBudgets.callers);
  readonly #meter = this.#provider.getMeter('adaptlet');
  readonly #requests = this.#counter(metrics.requests);
  readonly #callers = this.#counter(metrics.callers);
  readonly #tokens = this.#counter(metrics.tokens);
  readonly #endedConnections = this.#counter(metrics.endedConnections);
  readonly #endedStreams = this.#counter(metrics.endedStreams);
  readonly #delayedConnections = this.#counter(metrics.delayedConnections);
  readonly #feedback = this.#counter(metrics.feedback);
  readonly #transitions = this.#counter(metrics.transitions);
  readonly #duration = this.#histogram(metrics.requestDuration);
  readonly #firstToken = this.#histogram(metrics.timeToFirstToken);

  request(
    labels: Labels,
    seconds: number,
    tokens: { readonly prompt: number; readonly completion: number },
  ): void {
    const arm = this.#arm(labels.served);
    const { protocol, code } = labels;
    this.#requests.add(1, { ...arm, protocol, code });
    this.#duration.record(seconds, { ...arm, code });
    if (tokens.prompt > 0) this.#tokens.add(tokens.prompt, { ...arm, kind: 'prompt' });
    if (tokens.completion > 0) this.#tokens.add(tokens.completion, { ...arm, kind: 'completion' });
  }

  /** One that took no time of any adapter. */
  refused(protocol: string, code: ErrorCode): void {
    this.#requests.add(1, { ...this.#arm(undefined), protocol, code });
  }

  /** `caller`: `namespace/name` of a credential. */
  caller(caller: string, code: Labels['code']): void {
    this.#callers.add(1, { caller: this.#callerNames.bounded(caller), code });
  }

  firstToken(served: ServedBy, seconds: number): void {
    this.#firstToken.record(seconds, this.#arm(served));
  }

  endedConnection(protocol: string, cause: string): void {
    this.#endedConnections.add(1, { protocol, cause });
  }

  endedStream(cause: string): void {
    this.#endedStreams.add(1, { cause });
  }

  delayedConnection(protocol: string): void {
    this.#delayedConnections.add(1, { protocol });
  }

  feedback(rollout: string, arm: string): void {
    this.#feedback.add(1, { rollout: this.#rollouts.bounded(rollout), arm });
  }

  transition(from: string, to: string, cause: string): void {
    this.#transitions.add(1, { from, to, cause });
  }

  async text(): Promise<string> {
    const { resourceMetrics }: { resourceMetrics: unknown } = await this.#reader.collect();
    // Same shape, but the exporter's own copy of the SDK declares the enums in it a second time.
    return this.#serializer.serialize(resourceMetrics as Parameters<PrometheusSerializer['serialize']>[0]);
  }

  async close(): Promise<void> {
    await this.#provider.shutdown();
  }

  #arm(served: ServedBy | undefined): { adapter: string; rollout: string; arm: string } {
    return {
      adapter: this.#adapters.bounded(served?.adapter ?? ''),
      rollout: this.#rollouts.bounded(served?.rollout ?? ''),
      arm: served?.arm ?? '',
    };
  }

  #counter(metric: { name: string; help: string }) {
    return this.#meter.createCounter(metric.name, { description: metric.help });
  }

  #histogram(metric: { name: string; help: string }) {
    return this.#meter.createHistogram(metric.name, {
      description: metric.help,
      advice: { explicitBucketBoundaries: durationBuckets },
    });
  }
}
