import { createHash } from 'node:crypto';
import type { FinishReason } from '../../engine/engine.ts';
import type { CallReader, Piece } from './call-reader.ts';
import { type Thought, Thoughts } from './thoughts.ts';

/** A part of an answer, as it is told. */
export type AnswerPart =
  | { readonly kind: 'content' | 'reasoning'; readonly text: string }
  | {
      readonly kind: 'call';
      /** Its place among the calls of the answer. */
      readonly index: number;
      readonly id: string;
      readonly name: string;
    }
  /** Of the call with this index, the one before it: more of them, as the model wrote them. */
  | { readonly kind: 'arguments'; readonly index: number; readonly text: string };

export type AnswerForm = {
  /** Of the answer. */
  readonly id: string;
  /** It may begin with thoughts. */
  readonly thinks?: boolean;
  /** Begins to read the calls of one answer. */
  readonly calls?: () => CallReader;
  /** Calls that it may have; more are text. */
  readonly most?: number;
};

/**
 * Tells the text of an answer in its parts: thoughts, calls, and all else.
 *
 * Guarantees: how the answer is cut makes no difference to what is told; without calls and thoughts that is its text. Ids of calls follow
 * from the answer's id.
 */
export class AnswerReader {
  readonly #form: AnswerForm;
  readonly #calls: CallReader | undefined;
  readonly #thoughts: Thoughts | undefined;
  #called = 0;
  /** The present call is beyond those that it may have. */
  #isBeyond = false;
  #isCalling = false;
  #isEndless = false;
  /** White space that the next text follows; beside a call it is left out. */
  #space = '';

  constructor(form: AnswerForm) {
    this.#form = form;
    this.#calls = form.calls?.();
    this.#thoughts = form.thinks === true ? new Thoughts() : undefined;
  }

  /** Within thoughts. */
  get isThinking(): boolean {
    return this.#thoughts?.isOpen === true;
  }

  /** Within a call. */
  get isCalling(): boolean {
    return this.#isCalling;
  }

  /** Whether an answer that ended so was cut within a call. */
  isCut(reason: FinishReason): boolean {
    return this.#isCalling || (this.#isEndless && reason === 'length');
  }

  push(text: string): readonly AnswerPart[] {
    const parts: AnswerPart[] = [];
    if (this.#thoughts === undefined) this.#content(parts, text);
    else this.#think(parts, this.#thoughts.push(text));
    return parts;
  }

  /** Nothing more comes. */
  end(): readonly AnswerPart[] {
    const parts: AnswerPart[] = [];
    if (this.#thoughts !== undefined) this.#think(parts, this.#thoughts.end());
    this.#read(parts, this.#calls?.end() ?? []);
    if (this.#called === 0) add(parts, 'content', this.#space);
    this.#space = '';
    return parts;
  }

  /** Why it ended, as OpenAI says it: because of calls where none is cut. */
  finish(reason: FinishReason): FinishReason | 'tool_calls' {
    return reason === 'stop' && this.#called > 0 && !this.isCut(reason) ? 'tool_calls' : reason;
  }

  #think(parts: AnswerPart[], thoughts: readonly Thought[]): void {
    for (const { kind, text } of thoughts) {
      if (kind === 'content') this.#content(parts, text);
      else add(parts, 'reasoning', text);
    }
  }

  #content(parts: AnswerPart[], text: string): void {
    if (this.#calls === undefined) add(parts, 'content', text);
    else this.#read(parts, this.#calls.push(text));
  }

  #read(parts: AnswerPart[], pieces: readonly Piece[]): void {
    const { id, most = Infinity } = this.#form;
    for (const piece of pieces) {
      if (piece.kind === 'call') this.#isBeyond = this.#called >= most;
      if (piece.kind === 'text' || this.#isBeyond) {
        this.#text(parts, piece.text);
      } else if (piece.kind === 'call') {
        const index = this.#called;
        this.#space = '';
        this.#called += 1;
        parts.push({ kind: 'call', index, id: callId(id, index), name: piece.name });
      } else {
        this.#isCalling = piece.open === true;
        this.#isEndless = piece.open === 'endless';
        if (piece.arguments !== '')
          parts.push({ kind: 'arguments', index: this.#called - 1, text: piece.arguments });
      }
    }
  }

  #text(parts: AnswerPart[], written: string): void {
    const text = written.trimEnd();
    if (text !== '') {
      add(parts, 'content', this.#space + text);
      this.#space = '';
    }
    this.#space += written.slice(text.length);
  }
}

/** The id of a call, in 29 characters: other servers, which a conversation may go on at, take 40 at most. */
export const callId = (answer: string, index: number): string =>
  `call_${createHash('sha256').update(`${answer}/${index}`).digest('hex').slice(0, 24)}`;

/** One reader for each answer to a request, in their order. `id`: of the request's answer. */
export const answerReaders = (
  form: Omit<AnswerForm, 'id'>,
  id: string,
  choices: number,
): readonly AnswerReader[] =>
  Array.from(
    { length: choices },
    (_, choice) => new AnswerReader({ ...form, id: choice === 0 ? id : `${id}/${choice}` }),
  );

/** Texts of one kind that come together are told together. */
const add = (parts: AnswerPart[], kind: 'content' | 'reasoning', text: string): void => {
  if (text === '') return;
  const last = parts.at(-1);
  if (last?.kind === kind) parts[parts.length - 1] = { kind, text: last.text + text };
  else parts.push({ kind, text });
};
