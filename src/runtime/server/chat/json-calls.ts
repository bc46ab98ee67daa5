import { type BodyStep, type CallReader, type Piece, tell } from './call-reader.ts';
import { JsonCall } from './json-call.ts';

/**
 * An answer that is calls from its beginning on, `{"name": "…", "parameters": {…}}`, with `;` between them: Llama 3. What follows
 * something else is text.
 */
export class JsonCalls implements CallReader {
  readonly #names: ReadonlySet<string>;
  #called = false;
  #isText = false;
  /** White space and `;` before the present call. */
  #gap = '';
  #call: JsonCall | undefined;

  constructor(names: ReadonlySet<string>) {
    this.#names = names;
  }

  push(text: string): readonly Piece[] {
    const pieces: Piece[] = [];
    let rest = text;
    while (rest !== '') rest = this.#step(rest, pieces);
    return pieces;
  }

  end(): readonly Piece[] {
    const pieces: Piece[] = [];
    const rest = this.#call === undefined ? '' : this.#take(this.#call.end(), pieces);
    tell(pieces, this.#gap + rest);
    return pieces;
  }

  #step(text: string, pieces: Piece[]): string {
    if (this.#call !== undefined) return this.#take(this.#call.push(text), pieces);
    if (!this.#isText) return this.#between(text);
    tell(pieces, this.#gap + text);
    this.#gap = '';
    return '';
  }

  #between(text: string): string {
    const gap = (this.#called ? /^[\s;]*/ : /^\s*/).exec(text)?.[0] ?? '';
    this.#gap += gap;
    const after = text.slice(gap.length);
    this.#isText = after !== '' && !after.startsWith('{');
    if (!after.startsWith('{')) return after;
    this.#call = new JsonCall(this.#gap, this.#names, ['parameters', 'arguments']);
    return after;
  }

  /** What came of the call: what follows it. */
  #take(step: BodyStep, pieces: Piece[]): string {
    if (step.kind === 'none') this.#isText = true;
    else pieces.push(...step.pieces);
    if (step.kind === 'open') return '';
    if (step.kind === 'done') this.#gap = '';
    this.#called = true;
    this.#call = undefined;
    return step.rest;
  }
}
