import type { FinishReason } from '../engine.ts';
import type { Detokenizer } from '../model/detokenizer.ts';
import type { StopStrings } from '../model/stop-strings.ts';

/** What one more token adds to an answer. */
export type Piece = { readonly text: string; readonly finish: FinishReason | undefined };

export type AnswerParts = {
  readonly detokenizer: Detokenizer;
  readonly stops: StopStrings;
  /** Tokens that end it. */
  readonly endIds: ReadonlySet<number>;
  readonly maxTokens: number;
  /** End tokens that come within so many tokens, and stop strings that are complete then, do not end it. Absent: 0. */
  readonly minTokens?: number | undefined;
  /** What the text begins with before its first token. Absent: nothing. */
  readonly opening?: string;
};

/** Turns tokens into the text of an answer and says when it ends. An end token counts but has no text. */
export class Answer {
  readonly #parts: AnswerParts;
  #tokens = 0;

  constructor(parts: AnswerParts) {
    this.#parts = parts;
  }

  get tokens(): number {
    return this.#tokens;
  }

  /** `isLast`: nothing may come after it. */
  push(id: number, isLast = false): Piece {
    const { opening = '' } = this.#parts;
    const piece = this.#take(id, isLast);
    return this.#tokens === 1 && opening !== '' ? { ...piece, text: opening + piece.text } : piece;
  }

  #take(id: number, isLast: boolean): Piece {
    const { detokenizer, stops, endIds, maxTokens } = this.#parts;
    this.#tokens += 1;
    if (endIds.has(id) && (isLast || this.#mayEnd)) return this.#end('', 'stop');
    const { text, stopped } = stops.push(detokenizer.push(id), this.#mayEnd);
    if (stopped) return { text, finish: 'stop' };
    if (isLast) return this.#end(text, 'stop');
    return this.#tokens < maxTokens ? { text, finish: undefined } : this.#end(text, 'length');
  }

  get #mayEnd(): boolean {
    return this.#tokens > (this.#parts.minTokens ?? 0);
  }

  /** What was held back comes out, unless it completes a stop string. */
  #end(text: string, finish: FinishReason): Piece {
    const { detokenizer, stops } = this.#parts;
    const rest = stops.push(detokenizer.flush(), this.#mayEnd);
    if (rest.stopped) return { text: text + rest.text, finish: 'stop' };
    return { text: text + rest.text + stops.flush(), finish };
  }
}
