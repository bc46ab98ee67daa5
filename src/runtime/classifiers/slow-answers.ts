import type { Labelled } from '../routing/labelled.ts';
import type { RequestContext } from '../routing/request.ts';

/** A question to a classifier. */
type Question = { readonly id: string; readonly ask: (signal: AbortSignal) => Promise<Labelled> };

/**
 * What classifiers that take time said of the prompt of a request, for as long as the request lives. Routing cannot wait: it
 * notes the first answer that it lacks, somebody waits for that, and routes again. Another one may not be needed by then.
 */
export class SlowAnswers {
  readonly #known = new WeakMap<RequestContext, Map<string, Labelled>>();
  readonly #lacking = new WeakMap<RequestContext, Question>();

  /** What is known; undefined: it is noted to be asked for, unless another is. */
  get(context: RequestContext, question: Question): Labelled | undefined {
    const known = this.#known.get(context)?.get(question.id);
    if (known === undefined && !this.#lacking.has(context)) this.#lacking.set(context, question);
    return known;
  }

  /** Asks for what is lacking; undefined: nothing is. @throws the reason of the signal */
  awaited(context: RequestContext, signal: AbortSignal): Promise<void> | undefined {
    const lacking = this.#lacking.get(context);
    if (lacking === undefined) return undefined;
    this.#lacking.delete(context);
    return this.#ask(context, lacking, signal);
  }

  async #ask(context: RequestContext, { id, ask }: Question, signal: AbortSignal): Promise<void> {
    const answer = await ask(signal);
    const known = this.#known.get(context) ?? new Map<string, Labelled>();
    this.#known.set(context, known.set(id, answer));
  }
}
