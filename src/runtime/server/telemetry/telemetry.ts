import type { ErrorCode } from '../../../errors/catalogue.ts';
import { exposition } from '../../../telemetry/exposition.ts';
import type { Traces } from '../../../telemetry/traces.ts';
import type { Clock } from '../../../time/clock.ts';
import type { RequestContext, ServedBy } from '../../routing/request.ts';
import type { Stage } from '../../serving/stages.ts';
import type { Headers } from '../context.ts';
import { Counters } from './counters.ts';
import { metricFamilies, type RuntimeGauges } from './gauges.ts';
import { type RequestOutcome, RequestSpans, remoteIds, type TraceIds } from './request-spans.ts';

/** What is written down about one request while it runs. */
export type RequestRecord = {
  /** Who asks and for what is known; routing begins. */
  routing(context: RequestContext): void;
  /** A part of it begins. */
  stage(stage: Stage): void;
  /** Its answer begins, or is there as a whole. */
  acquired(id: string, served: ServedBy): void;
  /** A token came; the first one is timed. */
  token(): void;
  /** For lines of logs about the request. Empty: nobody traces it. */
  readonly ids: TraceIds;
  /** Only the first call counts. */
  end(outcome: RequestOutcome): void;
};

export type Telemetry = {
  request(call: {
    readonly protocol: string;
    readonly method: string;
    readonly headers: Headers;
  }): RequestRecord;
  /** A request was refused before it began. */
  refused(protocol: string, code: ErrorCode): void;
  /** A connection was ended for what came on it. `cause` is one of few constants. */
  endedConnection(protocol: string, cause: string): void;
  /** A stream of a gateway's connection was ended for what came on that. `cause` is one of few constants. */
  endedStream(cause: string): void;
  /** A connection waits before it begins. */
  delayedConnection(protocol: string): void;
  /** An answer got its first feedback. */
  feedback(about: { readonly rollout: string; readonly arm: string }): void;
  /** An adapter changed its state. `cause` is one of few constants, or an error code. */
  transition(change: { readonly from: string; readonly to: string; readonly cause: string }): void;
  /** Prometheus' text format. */
  metricsText(): Promise<string>;
  close(): Promise<void>;
};

export type TelemetryOptions = {
  readonly version: string;
  readonly instance: string;
  readonly clock: Clock;
  readonly gauges: () => RuntimeGauges;
  /** Closed with the rest. Without it no spans are made. */
  readonly traces?: Traces | undefined;
};

/** Milliseconds that the last spans may take to leave: a collector that is down must not hold up a restart. */
export const closeTimeoutMs = 3000;

/** Metrics and traces of one runtime. */
export const createTelemetry = (options: TelemetryOptions): Telemetry => {
  const { clock, version, instance, traces } = options;
  const counters = new Counters();
  return {
    request({ protocol, method, headers }) {
      const start = clock.monotonic();
      const seconds = (): number => (clock.monotonic() - start) / 1000;
      const spans =
        traces === undefined ? undefined : new RequestSpans(traces.tracer, { protocol, method, headers });
      let served: ServedBy | undefined;
      let caller: string | undefined;
      let tokens = 0;
      let ended = false;
      return {
        routing(context) {
          caller = context.caller;
          spans?.routing(context);
        },
        stage(stage) {
          spans?.stage(stage);
        },
        get ids() {
          return spans?.ids ?? remoteIds(headers);
        },
        acquired(id, by) {
          served = by;
          spans?.acquired(id, by);
        },
        token() {
          if (tokens++ > 0 || served === undefined) return;
          counters.firstToken(served, seconds());
          spans?.firstToken(seconds() * 1000);
        },
        end(outcome) {
          if (ended) return;
          ended = true;
          const { code, promptTokens: prompt, completionTokens: completion } = outcome;
          counters.request({ served, protocol, code }, seconds(), { prompt, completion });
          if (caller !== undefined) counters.caller(caller, code);
          spans?.end(outcome);
        },
      };
    },
    refused: (protocol, code) => counters.refused(protocol, code),
    endedConnection: (protocol, cause) => counters.endedConnection(protocol, cause),
    endedStream: (cause) => counters.endedStream(cause),
    delayedConnection: (protocol) => counters.delayedConnection(protocol),
    feedback({ rollout, arm }) {
      counters.feedback(rollout, arm);
    },
    transition({ from, to, cause }) {
      counters.transition(from, to, cause);
    },
    async metricsText() {
      const counted = await counters.text();
      return `${counted.trimEnd()}\n${exposition(metricFamilies(options.gauges(), { version, instance }, clock.now()))}`;
    },
    async close() {
      const late = new Promise<void>((resolve) => {
        clock.after(closeTimeoutMs, resolve);
      });
      await Promise.race([Promise.all([counters.close(), traces?.close()]), late]);
    },
  };
};
