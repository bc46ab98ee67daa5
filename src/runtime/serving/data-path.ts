import { randomUUID } from 'node:crypto';
import { errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { Engine, GenerateEvent } from '../engine/engine.ts';
import type { EncodeResult, InferResult, Task } from '../engine/tasks.ts';
import { refuseTask } from '../engine/tasks.ts';
import type { Residency } from '../residency/manager.ts';
import type { Decision, ServingFacts } from '../routing/decision.ts';
import type { RequestContext, ServedBy } from '../routing/request.ts';
import { route } from '../routing/route.ts';
import type { RoutingTable } from '../routing/table.ts';
import { type Acquired, type AcquireParts, acquireFirst, withTrouble } from './acquire.ts';
import { Input } from './guard/deadly-inputs.ts';
import type { Guard } from './guard/guard.ts';
import { type Outcome, outcomeOf } from './guard/outcome.ts';
import type { MirroredGeneration } from './mirror/copy.ts';
import type { Mirror } from './mirror/mirror.ts';
import { routeOnDemand } from './on-demand.ts';
import type { OpenRequest, Quotas } from './quotas/quotas.ts';
import { weightedTokens } from './quotas/weighted-tokens.ts';
import { scopeOf, turnOf } from './request-scope.ts';
import { RequestWatch, type WatchParts } from './request-watch.ts';
import type { Answered, EncodeRequest, GenerateRequest, Generation, InferRequest } from './serving.ts';

export type DataPathParts = AcquireParts &
  WatchParts & {
    readonly engine: Engine;
    readonly guard: Pick<Guard, 'inputs'>;
    readonly quotas: Pick<Quotas, 'enter' | 'failed'>;
    readonly residency: Pick<Residency, 'takeLoads'>;
    /** What routing asks at the moment of a request. */
    readonly facts: ServingFacts;
    /** The table of the plan in force; swapped as a whole. */
    readonly table: () => RoutingTable;
    /** Absent: no canary gets copies. */
    readonly mirror?: Mirror | undefined;
  };

type Passage = {
  readonly asked: Task;
  readonly id: string;
  readonly context: RequestContext;
  readonly input: Input;
  readonly open: OpenRequest;
  readonly signal: AbortSignal;
};

/** What follows the events of an answer. */
type Relayed = {
  readonly acquired: Acquired;
  readonly watch: RequestWatch;
  readonly input: Input;
  readonly open: OpenRequest;
  readonly prompt: GenerateRequest['prompt'];
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
    const input = new Input(context, request);
    const open = this.#parts.quotas.enter(context.namespace);
    const { served, acquired, watch, result } = await this.#serve(
      { asked: 'generate', id, context, input, open, signal },
      async ({ lease }, on) => {
        const engineName = lease?.engineName ?? null;
        const whose = { ...scopeOf(context), ...open.forEngine, loadedBytes: this.#loadedFor(context) };
        const asked = { requestId: id, engineName, ...request, ...whose };
        const events = this.#parts.engine.generate(asked, on.signal)[Symbol.asyncIterator]();
        // The first event tells whether the engine admits the request at all: an error here is still a plain error.
        const first = await firstOf(events, () => open.used(weightedTokens(request.prompt).rest));
        await answerBegan(first, events, on);
        return { first, events };
      },
    );
    const mirrored = this.#parts.mirror?.generation(acquired.candidate, served, id, request);
    const relayed = { acquired, watch, input, open, prompt: request.prompt, mirrored };
    return { id, served, events: this.#relay(result.first, result.events, relayed) };
  }

  async encode(
    context: RequestContext,
    request: EncodeRequest,
    signal: AbortSignal,
  ): Promise<Answered<EncodeResult>> {
    const input = new Input(context, request);
    const open = this.#parts.quotas.enter(context.namespace);
    const passage = { asked: 'embed', id: randomUUID(), context, input, open, signal } as const;
    return await this.#whole(
      passage,
      ({ lease }, engineSignal) => {
        const { guaranteed } = open.forEngine;
        const whose = { ...turnOf(context), guaranteed, loadedBytes: this.#loadedFor(context) };
        const engineName = lease?.engineName ?? null;
        return this.#parts.engine.encode(
          { requestId: passage.id, engineName, ...request, ...whose },
          engineSignal,
        );
      },
      ({ candidate, served }, result) => {
        open.used(result.promptTokens);
        this.#parts.mirror?.encoded(candidate, served, passage.id, request, result);
      },
    );
  }

  async infer(
    context: RequestContext,
    request: InferRequest,
    signal: AbortSignal,
  ): Promise<Answered<InferResult>> {
    const input = new Input(context, request);
    const open = this.#parts.quotas.enter(context.namespace);
    const passage = { asked: 'infer', id: randomUUID(), context, input, open, signal } as const;
    const { guaranteed } = open.forEngine;
    const whose = { ...turnOf(context), guaranteed };
    return await this.#whole(passage, (_, engineSignal) =>
      this.#parts.engine.infer({ requestId: passage.id, ...request, ...whose }, engineSignal),
    );
  }

  /** RAM of what was loaded for its namespace, which the engine was not told of yet. */
  #loadedFor({ namespace }: RequestContext): number {
    return this.#parts.residency.takeLoads(namespace);
  }

  /**
   * Has whoever it is routed to begin to answer. What a canary has not begun when it loses its traffic here goes to stable:
   * nobody waits for it in vain, and of those that it was given together no more fail than it took to find out. The same is
   * true of a stable that is found broken, where another version or the base model may answer. Each turn needs another one
   * to lose its traffic. With what ended the engine twice there is no third turn.
   */
  async #serve<Result>(
    passage: Passage,
    begin: (acquired: Acquired, watch: RequestWatch) => Promise<Result>,
  ): Promise<Begun<Result>> {
    const { input, signal, open, context } = passage;
    const { inputs } = this.#parts.guard;
    try {
      inputs.check(input);
      const end = await inputs.turn(input, signal);
      try {
        return await this.#serveInTurn(passage, begin);
      } finally {
        end();
      }
    } catch (error) {
      this.#parts.quotas.failed(context.namespace, error);
      open[Symbol.dispose]();
      throw error;
    }
  }

  async #serveInTurn<Result>(
    { asked, id, context, input, signal }: Passage,
    begin: (acquired: Acquired, watch: RequestWatch) => Promise<Result>,
  ): Promise<Begun<Result>> {
    const { inputs } = this.#parts.guard;
    let deaths = 0;
    for (;;) {
      const acquired = await this.#admit(asked, id, context, signal);
      const { served } = acquired;
      const watch = new RequestWatch(this.#parts, id, acquired, signal);
      this.#inEngine++;
      this.#parts.mirror?.loadChanged(this.#inEngine);
      const left = inputs.given(input, served.digest);
      try {
        return { acquired, watch, served, result: await begin(acquired, watch) };
      } catch (error) {
        this.#settle(acquired, watch, outcomeOf(error), error);
        if (errorCodeOf(error) === 'ENGINE_DOWN') deaths += 1;
        if (signal.aborted || !watch.needsAnother || deaths > 1) throw withTrouble(acquired.candidate, error);
      } finally {
        left();
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
    return await acquireFirst(this.#parts, candidates, signal);
  }

  /** A request that the engine answers at once. */
  async #whole<Result extends EncodeResult | InferResult>(
    passage: Passage,
    ask: (acquired: Acquired, signal: AbortSignal) => Promise<Result>,
    settled: (acquired: Acquired, result: Result) => void = () => undefined,
  ): Promise<Answered<Result>> {
    using _open = passage.open;
    const { acquired, watch, served, result } = await this.#serve(passage, async (by, on) => {
      const answer = await ask(by, on.signal);
      on.wholeAnswerCame('kind' in answer && answer.kind === 'classification');
      return answer;
    });
    watch.answerCompleted();
    this.#parts.guard.inputs.answered(passage.input);
    this.#settle(acquired, watch, 'success', undefined);
    settled(acquired, result);
    return { id: passage.id, served, result };
  }

  async *#relay(
    first: IteratorResult<GenerateEvent>,
    events: AsyncIterator<GenerateEvent>,
    { acquired, watch, input, open, prompt, mirrored }: Relayed,
  ): AsyncGenerator<GenerateEvent> {
    let outcome: Outcome = 'neutral';
    let failure: unknown;
    const tokens = weightedTokens(prompt);
    try {
      for (let next = first; next.done !== true; next = await events.next()) {
        open.used(tokens.of(next.value));
        if (next.value.kind === 'done') {
          outcome = 'success';
          watch.answerCompleted();
          this.#parts.guard.inputs.answered(input);
        }
        mirrored?.observe(next.value);
        yield next.value;
      }
    } catch (error) {
      outcome = outcomeOf(error);
      failure = error;
      throw error;
    } finally {
      // A consumer that leaves early ends the generation in the engine first: until then the adapter is in use.
      await events.return?.();
      open.used(tokens.rest);
      open[Symbol.dispose]();
      this.#settle(acquired, watch, outcome, failure);
      if (mirrored !== undefined && outcome === 'success') this.#parts.mirror?.offer(mirrored.copy());
    }
  }

  #settle({ lease }: Acquired, watch: RequestWatch, outcome: Outcome, error: unknown): void {
    this.#inEngine--;
    lease?.[Symbol.dispose]();
    watch.recordResult(outcome, error);
    this.#parts.mirror?.loadChanged(this.#inEngine);
  }
}

/** An engine that ended under a request has worked for it. */
const firstOf = async (
  events: AsyncIterator<GenerateEvent>,
  engineEnded: () => void,
): Promise<IteratorResult<GenerateEvent>> => {
  try {
    return await events.next();
  } catch (error) {
    if (errorCodeOf(error) === 'ENGINE_DOWN') engineEnded();
    throw error;
  }
};

/** The answer has begun, unless it was withdrawn in the same moment: then the engine stops it. */
const answerBegan = async (
  first: IteratorResult<GenerateEvent>,
  events: AsyncIterator<GenerateEvent>,
  watch: RequestWatch,
): Promise<void> => {
  try {
    watch.answerBegan(
      first.done !== true && first.value.kind === 'token' ? first.value.firstTokenMs : undefined,
    );
  } catch (error) {
    await events.return?.();
    throw error;
  }
};
