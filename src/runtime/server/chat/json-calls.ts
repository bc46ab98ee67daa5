import { type CallReader, type Piece, tell } from './call-reader.ts';
import { callOf } from './json-call.ts';
import { JsonObject } from './json-object.ts';

/**
 * An answer that is calls from its beginning on, `{"name": "…", "parameters": {…}}`, with `;` between them: Llama 3. What follows
 * something else is text.
 */
export class JsonCalls implements CallReader {
  readonly #names: ReadonlySet<string>;
  #state: 'between' | 'object' | 'text' = 'between';
  #called = false;
  /** White space and `;` before the present object. */
  #gap = '';
  #object = new JsonObject();
  #inside = '';

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
    tell(pieces, this.#leave());
    return pieces;
  }

  #step(text: string, pieces: Piece[]): string {
    if (this.#state === 'between') return this.#between(text, pieces);
    if (this.#state === 'object') return this.#follow(text, pieces);
    tell(pieces, text);
    return '';
  }

  #between(text: string, pieces: Piece[]): string {
    const gap = (this.#called ? /^[\s;]*/ : /^\s*/).exec(text)?.[0] ?? '';
    this.#gap += gap;
    const after = text.slice(gap.length);
    if (after === '') return '';
    if (after.startsWith('{')) {
      this.#state = 'object';
      this.#object = new JsonObject();
      return after;
    }
    tell(pieces, this.#leave() + after);
    return '';
  }

  #follow(text: string, pieces: Piece[]): string {
    const step = this.#object.push(text);
    if (step === 'open') {
      this.#inside += text;
      return '';
    }
    const call =
      step === 'broken' ? undefined : callOf(this.#object, this.#names, ['parameters', 'arguments']);
    if (call === undefined || step === 'broken') {
      tell(pieces, this.#leave() + text);
      return '';
    }
    const written = this.#leave() + text.slice(0, step);
    pieces.push({ kind: 'call', call, text: written });
    this.#state = 'between';
    this.#called = true;
    return text.slice(step);
  }

  /** What was held back. All that follows is text, unless it was a call. */
  #leave(): string {
    const held = this.#gap + this.#inside;
    this.#state = 'text';
    this.#gap = '';
    this.#inside = '';
    return held;
  }
}
