import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Echo, GenerateInput, PromptToken } from '../engine.ts';
import { type LogprobParts, takenLogprob } from '../sampling/logprobs.ts';

export type PromptEchoParts = {
  readonly ids: readonly number[];
  /** The prompt where it came as text; undefined: it is what its tokens say. */
  readonly text: string | undefined;
  /** Of each token, when the request wants them. */
  readonly logprobs: LogprobParts | undefined;
  readonly describe: LogprobParts['describe'];
};

/** Bytes of logits that one step reads: more would be memory, and time that others wait until they are looked through. */
const maxLogitsBytes = 8 * 2 ** 20;

/** What is told of a prompt with the first token of its answer. */
export class PromptEcho {
  /** Each of its tokens is told with its log probability, so a step reads the logits of all that it takes. */
  readonly isScored: boolean;
  readonly #parts: PromptEchoParts;
  readonly #tokens: PromptToken[];

  constructor(parts: PromptEchoParts) {
    const { ids, logprobs, describe } = parts;
    this.#parts = parts;
    this.isScored = logprobs !== undefined;
    this.#tokens = this.isScored ? ids.slice(0, 1).map((id) => ({ id, ...describe(id) })) : [];
  }

  /** Tokens that one step takes at most. */
  piece(vocabSize: number): number {
    if (!this.isScored) return Infinity;
    return Math.max(1, Math.floor(maxLogitsBytes / Float32Array.BYTES_PER_ELEMENT / vocabSize));
  }

  /**
   * A step took the tokens from `start` on, with the logits of each. What was computed again is known already.
   * @throws LOGITS_NOT_FINITE
   */
  took(start: number, logits: Float32Array, vocabSize: number): void {
    const { ids, logprobs } = this.#parts;
    if (logprobs === undefined) return;
    for (
      let at = this.#tokens.length - 1;
      at < Math.min(start + logits.length / vocabSize, ids.length - 1);
      at += 1
    ) {
      const own = logits.subarray((at - start) * vocabSize, (at - start + 1) * vocabSize);
      const token = takenLogprob(own, ids[at + 1] ?? 0, logprobs);
      if (!Number.isFinite(token.logprob))
        throw new AdaptletError('LOGITS_NOT_FINITE', 'The logits of a prompt are NaN or infinite');
      this.#tokens.push(token);
    }
  }

  get whole(): Echo {
    const { ids, text, describe } = this.#parts;
    return {
      text: text ?? Buffer.from(ids.flatMap((id) => describe(id).bytes ?? [])).toString(),
      ...(this.isScored ? { tokens: this.#tokens } : {}),
    };
  }
}

/**
 * What is told of a prompt; undefined where nothing is asked for.
 * @throws REQUEST_INVALID
 */
export const promptEcho = (
  { prompt, echo, logprobs }: GenerateInput,
  parts: Omit<PromptEchoParts, 'text'>,
): PromptEcho | undefined => {
  if (echo === undefined) return undefined;
  const text = prompt.kind === 'text' ? prompt.text : undefined;
  const { length } = parts.ids;
  const describes = parts.logprobs !== undefined || text === undefined;
  if (!describes || length <= echo.maxTokens) return new PromptEcho({ ...parts, text });
  const scored = logprobs === undefined ? '' : ` with logprobs ${logprobs}`;
  throw new AdaptletError(
    'REQUEST_INVALID',
    `In this request echo${scored} tells prompts of ${echo.maxTokens} tokens at most; the prompt has ${length}`,
    { advice: 'Send fewer prompts in a request, ask for fewer logprobs, or shorten the prompt.' },
  );
};
