import type { Speculated } from '../engine.ts';
import { StepCost } from '../schedule/draft-length.ts';
import { Drafter, maxDraft } from '../schedule/drafter.ts';
import type { DecoderSession } from '../session/decoder-session.ts';
import type { Outcome } from './running-batch.ts';
import type { Sequence } from './sequence.ts';
import type { StepRunner } from './step.ts';

/**
 * Steps of a sequence that decodes by itself, each with tokens that may come next: as many of them as do come are given at once
 * (Leviathan et al., 2023).
 *
 * The tokens are those that it gives without. At each position its own sampler picks from the logits, as always; the step goes on
 * where that is what was drafted, and else ends with the token that was picked. So each token is drawn from the model's
 * distribution, by one random number each, in the same order. Nothing is left of tokens that were not picked: keys and values behind
 * the cache's length are nobody's, as those that rows write that ride along.
 */
export class Speculation {
  readonly #steps: StepRunner;
  readonly #drafter = new Drafter();
  /** By graph: adapters make a step longer. */
  readonly #costs = new WeakMap<DecoderSession, StepCost>();
  readonly #did = { drafts: 0, draftTokens: 0, acceptedTokens: 0 };

  constructor(steps: StepRunner) {
    this.#steps = steps;
  }

  get done(): Speculated {
    return { ...this.#did };
  }

  /** One step. `hasRoom`: for keys and values of so many tokens. */
  async step(sequence: Sequence, hasRoom: (tokens: number) => boolean): Promise<Outcome> {
    const cost = this.#costOf(sequence.graph.session);
    const { length } = sequence.ids;
    let most = sequence.ahead(maxDraft);
    while (most > 0 && !hasRoom(length + most)) most -= 1;
    const draft = this.#drafter.draft(sequence, most, cost);
    const { tokens } = draft;
    try {
      const { logits, times } = await this.#steps.ahead(sequence, tokens);
      cost.ran(1 + tokens.length, times.doneAt - times.runAt);
      const isComplete = sequence.steppedAhead(times, logits, tokens);
      return { kind: isComplete ? 'complete' : 'goes-on', tokens: sequence.ids.length - length };
    } catch (error) {
      return { kind: 'failed', error, tokens: sequence.ids.length - length };
    } finally {
      const came = sequence.ids.slice(length);
      this.#drafter.came(sequence, draft, came);
      this.#did.drafts += tokens.length === 0 ? 0 : 1;
      this.#did.draftTokens += tokens.length;
      this.#did.acceptedTokens += came.filter((id, at) => id === tokens[at]).length;
    }
  }

  /** Its answer may serve others. */
  ended(sequence: Sequence): void {
    this.#drafter.ended(sequence);
  }

  #costOf(session: DecoderSession): StepCost {
    const cost = this.#costs.get(session) ?? new StepCost();
    this.#costs.set(session, cost);
    return cost;
  }
}
