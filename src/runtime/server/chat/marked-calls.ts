import { overlap } from '../../engine/model/stop-strings.ts';
import { type BodyStep, type CallBody, type CallReader, type Piece, tell } from './call-reader.ts';

/** Calls that begin with a mark. One that is none is text, and what follows its mark is looked through again. */
export class MarkedCalls implements CallReader {
  readonly #mark: string;
  readonly #newBody: (mark: string) => CallBody;
  /** An end of the text that may become a mark. */
  #held = '';
  #body: CallBody | undefined;

  constructor(mark: string, newBody: (mark: string) => CallBody) {
    this.#mark = mark;
    this.#newBody = newBody;
  }

  push(text: string): readonly Piece[] {
    const pieces: Piece[] = [];
    this.#read(text, pieces);
    return pieces;
  }

  end(): readonly Piece[] {
    const pieces: Piece[] = [];
    while (this.#body !== undefined) this.#read(this.#take(this.#body.end(), pieces), pieces);
    tell(pieces, this.#held);
    this.#held = '';
    return pieces;
  }

  #read(text: string, pieces: Piece[]): void {
    let rest = text;
    while (rest !== '')
      rest = this.#body === undefined ? this.#find(rest, pieces) : this.#take(this.#body.push(rest), pieces);
  }

  /** Looks for the mark: what follows it. */
  #find(text: string, pieces: Piece[]): string {
    const whole = this.#held + text;
    const at = whole.indexOf(this.#mark);
    const end = at < 0 ? whole.length - overlap(whole, this.#mark) : at;
    tell(pieces, whole.slice(0, end));
    this.#held = at < 0 ? whole.slice(end) : '';
    if (at < 0) return '';
    this.#body = this.#newBody(this.#mark);
    return whole.slice(at + this.#mark.length);
  }

  /** Tells what came of the call: what is to be looked through after it. */
  #take(step: BodyStep, pieces: Piece[]): string {
    if (step.kind !== 'open') this.#body = undefined;
    if (step.kind === 'none') tell(pieces, this.#mark);
    else pieces.push(...step.pieces);
    return step.kind === 'open' ? '' : step.rest;
  }
}
