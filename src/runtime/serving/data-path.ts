import { randomUUID } from 'node:crypto';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Engine, GenerateEvent } from '../engine/engine.ts';
import type { EncodeResult, InferResult, Task } from '../engine/tasks.ts';
import { refuseTask } from '../engine/tasks.ts';
import type { Lease, Residency } from '../residency/manager.ts';
import type { Candidate, Decision, ServingFacts } from '../routing/decision.ts';
import type { RequestContext, ServedBy } from '../routing/request.ts';
import { route } from '../routing/route.ts';
import type { RoutingTable } from '../routing/table.ts';
import type { RolloutCounts } from './counts/rollout-counts.ts';
import type { Demand } from './demand.ts';
import type { Holds } from './guard/holds.ts';
import { type Outcome, outcomeOf } from './guard/outcome.ts';
import type { MirroredGeneration } from './mirror/copy.ts';
import type { Mirror } from './mirror/mirror.ts';
import { routeOnDemand } from './on-demand.ts';
import { perUserResource } from './per-user.ts';
import { scopeOf } from './request-scope.ts';
import { RequestWatch } from './request-watch.ts';
import type { Answered, EncodeRequest, GenerateRequest, Generation, InferRequest } from './serving.ts';

export type DataPathParts = {
  readonly engine: Engine;
  readonly residency: Residency;
  readonly holds: Holds;
  readonly tally: RolloutCounts;
  /** What routing asks at the moment of a request. */
  readonly facts: ServingFacts;
  /** The table of the plan in force; swapped as a whole. */
  readonly table: () => RoutingTable;
  /** Absent: the plan has all names there are. */
  readonly demand?: Demand | undefined;
  /** Absent: no canary gets copies. */
  readonly mirror?: Mirror | undefined;
};

/** What was acquired for a request: a lease on an adapter, or the base model. */
type Acquired = {
  readonly lease: Lease | undefined;
  readonly candidate: Candidate;
  readonly served: ServedBy;
};

type Passage = {
  readonly asked: Task;
  readonly id: string;
  readonly context: RequestContext;
  readonly signal: AbortSignal;
};

/** What follows the events of an answer. */
type Relayed = {
  readonly acquired: Acquired;
  readonly watch: RequestWatch;
  readonly mirrored: MirroredGeneration | undefined;
};

/** A request whose answer has begun, and what is to be settled at its end. */
type Begun<Result> = {
  readonly acquired: Acquired;
  readonly watch: RequestWatch;
  readonly served: ServedBy;
  readonly result: Result;
};

/**
 * Routes, acquires and generates.
 *
 * Guarantees: the adapter that `served` names is the one that every event of the answer comes from; it cannot be freed
 * before the last event. Errors before the first event are thrown, later ones end the events.
 */
export class DataPath {
  readonly #parts: DataPathParts;
  #inEngine = 0;

  constructor(parts: DataPathParts) {
    this.#parts = parts;
  }

  /** Requests that the engine runs or has in its queue. */
  get inEngine(): number {
    return this.#inEngine;
  }

  async generate(
    context: RequestContext,
    request: GenerateRequest,
    signal: AbortSignal,
  ): Promise<Generation> {
    const id = randomUUID();
    const { served, acquired, watch, result } = await this.#serve(
      { asked: 'generate', id, context, signal },
      async ({ lease }, on) => {
        const engineName = lease?.engineName ?? null;
        const input = { requestId: id, engineName, ...request, ...scopeOf(context) };
        const events = this.#parts.engine.generate(input, on.signal)[Symbol.asyncIterator]();
        // The first event tells whether the engine admits the request at all: an error here is still a plain error.
        const first = await events.next();
        await begun(first, events, on);
        return { first, events };
      },
    );
    const mirrored = this.#parts.mirror?.generation(acquired.candidate, served, id, request);
    return { id, served, events: this.#relay(result.first, result.events, { acquired, watch, mirrored }) };
  }

  async encode(
    context: RequestContext,
    request: EncodeRequest,
    signal: AbortSignal,
  ): Promise<Answered<EncodeResult>> {
    const passage = { asked: 'embed', id: randomUUID(), context, signal } as const;
    return await this.#whole(
      passage,
      ({ lease }, engineSignal) =>
        this.#parts.engine.encode(
          { requestId: passage.id, engineName: lease?.engineName ?? null, ...request },
          engineSignal,
        ),
      ({ candidate, served }, result) =>
        this.#parts.mirror?.encoded(candidate, served, passage.id, request, result),
    );
  }

  async infer(
    context: RequestContext,
    request: InferRequest,
    signal: AbortSignal,
  ): Promise<Answered<InferResult>> {
    const passage = { asked: 'infer', id: randomUUID(), context, signal } as const;
    return await this.#whole(passage, (_, engineSignal) =>
      this.#parts.engine.infer({ requestId: passage.id, ...request }, engineSignal),
    );
  }

  /**
   * Has whoever it is routed to begin to answer. What a canary has not begun when it loses its traffic here goes to stable:
   * nobody waits for it in vain, and of those that it was given together no more fail than it took to find out. The same is
   * true of a stable that is found broken, where another version or the base model may answer. Each turn needs another one
   * to lose its traffic.
   */
  async #serve<Result>(
    { asked, id, context, signal }: Passage,
    begin: (acquired: Acquired, watch: RequestWatch) => Promise<Result>,
  ): Promise<Begun<Result>> {
    for (;;) {
      const acquired = await this.#admit(asked, id, context, signal);
      const { served } = acquired;
      const watch = new RequestWatch(this.#parts, id, acquired, signal);
      this.#inEngine++;
      this.#parts.mirror?.loadChanged(this.#inEngine);
      try {
        return { acquired, watch, served, result: await begin(acquired, watch) };
      } catch (error) {
        this.#settle(acquired, watch, outcomeOf(error), error);
        if (signal.aborted || !watch.isTaken) throw withTrouble(acquired.candidate, error);
      }
    }
  }

  /** Routes and acquires. A base model that does something else is refused before an adapter is loaded for it. */
  async #admit(asked: Task, id: string, context: RequestContext, signal: AbortSignal): Promise<Acquired> {
    const { engine, table, facts, demand } = this.#parts;
    const { task } = engine.info();
    if (task !== asked) throw refuseTask(task, asked);
    const decide = (): Decision => route(table(), context, facts, id);
    const candidates =
      demand === undefined ? decide().candidates : await routeOnDemand(decide, context, demand, signal);
    return await this.#acquireFirst(candidates, signal);
  }

  /** A request that the engine answers at once. */
  async #whole<Result extends EncodeResult | InferResult>(
    passage: Passage,
    ask: (acquired: Acquired, signal: AbortSignal) => Promise<Result>,
    settled: (acquired: Acquired, result: Result) => void = () => undefined,
  ): Promise<Answered<Result>> {
    const { acquired, watch, served, result } = await this.#serve(passage, async (by, on) => {
      const answer = await ask(by, on.signal);
      on.came('kind' in answer && answer.kind === 'classification');
      return answer;
    });
    watch.answered();
    this.#settle(acquired, watch, 'success', undefined);
    settled(acquired, result);
    return { id: passage.id, served, result };
  }

  /** The first candidate that can serve. When none can, the error of the first one: it is what the caller asked for. */
  async #acquireFirst(candidates: readonly Candidate[], signal: AbortSignal): Promise<Acquired> {
    let refusal: unknown;
    for (const candidate of candidates) {
      try {
        return await this.#acquire(candidate, signal);
      } catch (error) {
        if (signal.aborted) throw error;
        refusal ??= withTrouble(candidate, error);
      }
    }
    throw refusal;
  }

  async #acquire(candidate: Candidate, signal: AbortSignal): Promise<Acquired> {
    const { residency, engine } = this.#parts;
    const { rule } = candidate;
    switch (candidate.kind) {
      case 'base': {
        const served: ServedBy = {
          adapter: '',
          digest: engine.info().baseDigest,
          rollout: candidate.rollout ?? '',
          arm: 'base',
          rule,
        };
        return { lease: undefined, candidate, served };
      }
      case 'unavailable':
        throw new AdaptletError(candidate.code ?? 'ADAPTER_NOT_AVAILABLE', candidate.reason);
      case 'perUser': {
        const resource = perUserResource(candidate);
        residency.ensure(resource);
        const lease = await residency.acquire(resource.name, { signal });
        return {
          lease,
          candidate,
          served: { adapter: lease.name, digest: lease.digest, rollout: '', arm: '', rule },
        };
      }
      case 'adapter': {
        const { key, digest, rollout, arm } = candidate;
        if (rollout === '') this.#parts.demand?.used(key);
        const bound = digest === undefined ? {} : { digest };
        const ready = residency.tryAcquire(key, bound);
        // A canary serves from RAM or not at all: its users must not wait for what stable answers at once.
        if (ready === undefined && arm === 'canary') {
          throw new AdaptletError(
            'ADAPTER_NOT_AVAILABLE',
            `canary ${key} of rollout ${rollout} left the RAM a moment ago`,
          );
        }
        const lease = ready ?? (await residency.acquire(key, { ...bound, signal }));
        return {
          lease,
          candidate,
          served: { adapter: lease.name, digest: lease.digest, rollout, arm, rule },
        };
      }
    }
  }

  async *#relay(
    first: IteratorResult<GenerateEvent>,
    events: AsyncIterator<GenerateEvent>,
    { acquired, watch, mirrored }: Relayed,
  ): AsyncGenerator<GenerateEvent> {
    let outcome: Outcome = 'neutral';
    let failure: unknown;
    try {
      for (let next = first; next.done !== true; next = await events.next()) {
        if (next.value.kind === 'done') {
          outcome = 'success';
          watch.answered();
        }
        mirrored?.saw(next.value);
        yield next.value;
      }
    } catch (error) {
      outcome = outcomeOf(error);
      failure = error;
      throw error;
    } finally {
      // A consumer that leaves early ends the generation in the engine first: until then the adapter is in use.
      await events.return?.();
      this.#settle(acquired, watch, outcome, failure);
      if (mirrored !== undefined && outcome === 'success') this.#parts.mirror?.offer(mirrored.copy());
    }
  }

  #settle({ lease }: Acquired, watch: RequestWatch, outcome: Outcome, error: unknown): void {
    this.#inEngine--;
    lease?.[Symbol.dispose]();
    watch.ended(outcome, error);
    this.#parts.mirror?.loadChanged(this.#inEngine);
  }
}

/** What a caller is told when the last version that might have answered failed, too. */
const withTrouble = (candidate: Candidate, error: unknown): unknown => {
  if (candidate.kind !== 'adapter' || candidate.trouble === undefined || outcomeOf(error) !== 'failure')
    return error;
  const last = error instanceof Error ? error.message : String(error);
  return new AdaptletError('NO_VERSION_SERVES', `${candidate.trouble}; ${candidate.key}: ${last}`, {
    cause: error,
  });
};

/** The answer has begun, unless it was taken away in the same moment: then the engine stops it. */
const begun = async (
  first: IteratorResult<GenerateEvent>,
  events: AsyncIterator<GenerateEvent>,
  watch: RequestWatch,
): Promise<void> => {
  try {
    watch.begun(first.done !== true && first.value.kind === 'token' ? first.value.firstTokenMs : undefined);
  } catch (error) {
    await events.return?.();
    throw error;
  }
};
