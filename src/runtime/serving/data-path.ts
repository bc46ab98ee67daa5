import { randomUUID } from 'node:crypto';
import { AdaptletError, errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { Engine, GenerateEvent } from '../engine/engine.ts';
import type { EncodeResult, InferResult, Task } from '../engine/tasks.ts';
import { refuseTask } from '../engine/tasks.ts';
import type { Expected, Residency } from '../residency/manager.ts';
import type { Candidate, Decision, KeepsSessions, ServingFacts } from '../routing/decision.ts';
import { inputTextOf, promptTextOf, withPrompt } from '../routing/prompt-text.ts';
import type { RequestContext, ServedBy } from '../routing/request.ts';
import { route } from '../routing/route.ts';
import type { RoutingTable } from '../routing/table.ts';
import { type Acquired, type AcquireParts, acquireFirst, withTrouble } from './acquire.ts';
import { decided } from './ask-ahead.ts';
import {
  answersTo,
  asTheyCome,
  choiceOf,
  heard,
  idOf,
  ofPrompt,
  placeOf,
  promptsOf,
  promptsWithout,
  resumed,
} from './choices.ts';
import { answerBegan, firstOf } from './first-event.ts';
import { Input } from './guard/deadly-inputs.ts';
import type { Guard } from './guard/guard.ts';
import { type Outcome, outcomeOf } from './guard/outcome.ts';
import type { MirroredGeneration } from './mirror/copy.ts';
import type { Mirror } from './mirror/mirror.ts';
import { nextAsked } from './next-asked.ts';
import { routeOnDemand } from './on-demand.ts';
import type { OpenRequest, Quotas } from './quotas/quotas.ts';
import { aboutTokens, weightedTokens } from './quotas/weighted-tokens.ts';
import { scopeOf, turnOf } from './request-scope.ts';
import { RequestWatch, type WatchParts } from './request-watch.ts';
import type {
  Answered,
  EncodeRequest,
  GenerateRequest,
  Generation,
  GenerationEvent,
  InferRequest,
} from './serving.ts';
import { type Stages, unheard } from './stages.ts';

export type DataPathParts = AcquireParts &
  WatchParts & {
    readonly engine: Engine;
    readonly guard: Pick<Guard, 'inputs' | 'callers'>;
    readonly quotas: Pick<Quotas, 'enter' | 'failed' | 'routing'>;
    readonly residency: Pick<Residency, 'takeLoads'>;
    /** What routing asks at the moment of a request. */
    readonly facts: ServingFacts;
    /** The table of the plan in force; swapped as a whole. */
    readonly table: () => RoutingTable;
    /** Hears what may be asked for after a request. Absent: nothing is brought nearer before it is asked for. */
    readonly expect?: ((next: readonly Expected[]) => void) | undefined;
    /** Absent: no canary gets copies. */
    readonly mirror?: Mirror | undefined;
    /** Absent: each request is decided by itself. */
    readonly sessions?: KeepsSessions | undefined;
  };

type Passage = {
  readonly asked: Task;
  readonly id: string;
  readonly answers: number;
  readonly context: RequestContext;
  readonly input: Input;
  readonly open: OpenRequest;
  readonly signal: AbortSignal;
  readonly stages: Stages;
};

/** The generations of one request in the engine: one for each answer, all of one lease. */
type Generations = {
  readonly first: IteratorResult<GenerateEvent>;
  /** The first answer's is the one that `first` came from; the others have not begun. */
  readonly all: readonly [AsyncIterator<GenerateEvent>, ...AsyncIterator<GenerateEvent>[]];
  /** Ends all of them, also one whose next event is waited for. */
  readonly stop: () => void;
};

/** What follows the events of an answer. */
type Relayed = {
  readonly acquired: Acquired;
  readonly watch: RequestWatch;
  readonly input: Input;
  readonly open: OpenRequest;
  readonly mirrored: MirroredGeneration | undefined;
  readonly request: GenerateRequest;
  readonly inEngine: Disposable;
};

/** What serves a request, and what it was routed to first. */
type Admitted = { readonly acquired: Acquired; readonly first: Candidate | undefined };

/** A request whose answer has begun, and what is to be settled at its end. */
type Begun<Result> = {
  readonly acquired: Acquired;
  readonly watch: RequestWatch;
  readonly served: ServedBy;
  readonly result: Result;
  /** To be disposed of once it is over: until then its input may be what ends the engine. */
  readonly inEngine: Disposable;
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
    stages: Stages = unheard,
  ): Promise<Generation> {
    const id = randomUUID();
    const answers = answersTo(request);
    const several = promptsOf(request).length > 1;
    const input = new Input(context, request);
    const open = this.#parts.quotas.enter(context.namespace, answers);
    const asking = withPrompt(context, promptTextOf(promptsOf(request)));
    const { served, acquired, watch, result, inEngine } = await this.#serve(
      { asked: 'generate', id, answers, context: asking, input, open, signal, stages },
      async ({ lease }, on): Promise<Generations> => {
        const engineName = lease?.engineName ?? null;
        const others = new AbortController();
        const engineSignal = answers === 1 ? on.signal : AbortSignal.any([on.signal, others.signal]);
        const begin = (choice: number): AsyncIterator<GenerateEvent> => {
          const whose = { ...scopeOf(context), ...open.forEngine, loadedBytes: this.#loadedFor(context) };
          const asked = { requestId: idOf(id, choice), engineName, ...choiceOf(request, choice), ...whose };
          const steps = this.#parts.engine.generate(asked, engineSignal)[Symbol.asyncIterator]();
          return several ? ofPrompt(steps, placeOf(request, choice)) : steps;
        };
        const events = begin(0);
        // The first event tells whether the engine admits the request at all: an error here is still a plain error.
        const first = await firstOf(events, () => open.used(aboutTokens(request.prompt)));
        await answerBegan(first, events, on);
        // The others begin once the engine has taken the first one: nothing of them has to be taken back for another version.
        const more = Array.from({ length: answers - 1 }, (_, index) => begin(index + 1));
        const reason = 'Another answer to the same request ended it';
        const stop = (): void => others.abort(new AdaptletError('REQUEST_CANCELLED', reason));
        return { first, all: [events, ...more], stop };
      },
    );
    const mirrored = this.#parts.mirror?.generation(acquired.candidate, served, id, choiceOf(request, 0));
    const relayed = { acquired, watch, input, open, mirrored, request, inEngine };
    return { id: watch.id, served, events: this.#relay(result, relayed) };
  }

  async encode(
    context: RequestContext,
    request: EncodeRequest,
    signal: AbortSignal,
    stages: Stages = unheard,
  ): Promise<Answered<EncodeResult>> {
    const input = new Input(context, request);
    const open = this.#parts.quotas.enter(context.namespace);
    const asking = withPrompt(context, inputTextOf(request.texts));
    const about = { context: asking, input, open };
    const passage = { asked: 'embed', id: randomUUID(), answers: 1, ...about, signal, stages } as const;
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
    stages: Stages = unheard,
  ): Promise<Answered<InferResult>> {
    const input = new Input(context, request);
    const open = this.#parts.quotas.enter(context.namespace);
    const about = { context, input, open };
    const passage = { asked: 'infer', id: randomUUID(), answers: 1, ...about, signal, stages } as const;
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
    const { quotas, guard } = this.#parts;
    const { inputs, callers } = guard;
    try {
      inputs.check(input);
      callers.check(input.who);
      quotas.routing.check(context.namespace);
      using turn = new DisposableStack();
      turn.defer((await callers.turn(input.who, signal)) ?? (await inputs.turn(input, signal)));
      const begun = await this.#serveInTurn(passage, begin);
      turn.use(begun.inEngine);
      return { ...begun, inEngine: turn.move() };
    } catch (error) {
      quotas.failed(context.namespace, error);
      open[Symbol.dispose]();
      throw error;
    }
  }

  async #serveInTurn<Result>(
    passage: Passage,
    begin: (acquired: Acquired, watch: RequestWatch) => Promise<Result>,
  ): Promise<Begun<Result>> {
    const { id, answers, context, input, signal, stages } = passage;
    const others = Array.from({ length: answers - 1 }, (_, index) => idOf(id, index + 1));
    const ids = [id, ...others] as const;
    const { sessions, guard } = this.#parts;
    const { inputs } = guard;
    let deaths = 0;
    for (;;) {
      const { acquired, first } = await this.#admit(passage);
      const { served } = acquired;
      const watch = new RequestWatch(this.#parts, ids, acquired, signal);
      this.#inEngine++;
      this.#parts.mirror?.loadChanged(this.#inEngine);
      using given = new DisposableStack();
      const over = inputs.given(input, served, ids);
      given.defer(() => over(signal.aborted));
      stages('engine');
      try {
        const result = await begin(acquired, watch);
        const sessionToken = first && sessions?.served(context, first, acquired.candidate, served);
        const told = sessionToken === undefined ? served : { ...served, sessionToken };
        return { acquired, watch, served: told, result, inEngine: given.move() };
      } catch (error) {
        if (first !== undefined) sessions?.failed(context, first);
        this.#settle(acquired, watch, outcomeOf(error), error);
        if (errorCodeOf(error) === 'ENGINE_DOWN') deaths += 1;
        if (signal.aborted || !watch.needsAnother || deaths > 1) throw withTrouble(acquired.candidate, error);
      }
    }
  }

  /** Routes and acquires. A base model that does something else is refused before an adapter is loaded for it. */
  async #admit({ asked, id, context, signal, stages }: Passage): Promise<Admitted> {
    const { engine, table, facts, demand, sessions, quotas } = this.#parts;
    const { task } = engine.info();
    if (task !== asked) throw refuseTask(task, asked);
    stages('route');
    let first: Candidate | undefined;
    const routed = (): Decision => {
      const decision = quotas.routing.measured(context.namespace, () => route(table(), context, facts, id));
      [first] = decision.candidates;
      return decision;
    };
    const lacking = (): Promise<void> | undefined => {
      const answers = facts.awaited?.(context, signal);
      // Kept in the moment of the decision: others of its session may be decided while this one waits.
      if (answers === undefined && first !== undefined) sessions?.decided(context, first);
      return answers;
    };
    const decide = (): Decision | Promise<Decision> => decided(routed, lacking);
    try {
      const { candidates } = await (demand === undefined
        ? decide()
        : routeOnDemand(decide, context, demand, signal));
      stages('load');
      const acquired = await acquireFirst(this.#parts, candidates, signal);
      this.#parts.expect?.(nextAsked(table(), context, acquired.candidate));
      return { acquired, first };
    } catch (error) {
      if (first !== undefined) sessions?.failed(context, first);
      throw error;
    }
  }

  /** A request that the engine answers at once. */
  async #whole<Result extends EncodeResult | InferResult>(
    passage: Passage,
    ask: (acquired: Acquired, signal: AbortSignal) => Promise<Result>,
    settled: (acquired: Acquired, result: Result) => void = () => undefined,
  ): Promise<Answered<Result>> {
    using _open = passage.open;
    const { acquired, watch, served, result, inEngine } = await this.#serve(passage, async (by, on) => {
      const answer = await ask(by, on.signal);
      on.wholeAnswerCame('kind' in answer && answer.kind === 'classification');
      return answer;
    });
    this.#parts.guard.inputs.answered(passage.input);
    inEngine[Symbol.dispose]();
    watch.answerCompleted();
    this.#settle(acquired, watch, 'success', undefined);
    settled(acquired, result);
    return { id: watch.id, served, result };
  }

  /** The request is complete with the last of its answers, and fails with the first one that does. */
  async *#relay(
    { first, all, stop }: Generations,
    { acquired, watch, input, open, mirrored, request, inEngine }: Relayed,
  ): AsyncGenerator<GenerationEvent> {
    let outcome: Outcome = 'neutral';
    let failure: unknown;
    const [head, ...more] = all;
    const began = new Set([0]);
    const counted = (one: AsyncIterator<GenerateEvent>, choice: number) =>
      heard(one, (event) => {
        open.used(weightedTokens(event));
        began.add(choice);
        this.#parts.guard.inputs.heard(input, choice, event.kind === 'done');
      });
    const begun = counted(resumed(first, head), 0);
    const events: AsyncIterator<GenerationEvent> =
      more.length === 0 ? begun : asTheyCome([begun, ...more.map((one, index) => counted(one, index + 1))]);
    let left = all.length;
    this.#inEngine += more.length;
    if (more.length > 0) this.#parts.mirror?.loadChanged(this.#inEngine);
    try {
      for (let next = await events.next(); next.done !== true; next = await events.next()) {
        const { choice = 0 } = next.value;
        if (next.value.kind === 'done') left -= 1;
        if (left === 0) {
          outcome = 'success';
          watch.answerCompleted();
          this.#parts.guard.inputs.answered(input);
        }
        if (choice === 0) mirrored?.observe(next.value);
        yield next.value;
      }
    } catch (error) {
      outcome = outcomeOf(error);
      failure = error;
      if (errorCodeOf(error) === 'ENGINE_DOWN')
        for (const prompt of promptsWithout(request, began)) open.used(aboutTokens(prompt));
      this.#parts.quotas.failed(input.namespace, error);
      throw error;
    } finally {
      inEngine[Symbol.dispose]();
      // A consumer that leaves early ends the generations in the engine first: until then the adapter is in use.
      if (more.length > 0) stop();
      await Promise.all(all.map(async (one) => await one.return?.()));
      this.#inEngine -= more.length;
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
