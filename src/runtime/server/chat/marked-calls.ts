import { overlap } from '../../engine/model/stop-strings.ts';
import { type Call, type CallReader, type Piece, tell } from './call-reader.ts';

export type BodyStep =
  | { readonly kind: 'open' }
  /** It can be no call any more. */
  | { readonly kind: 'broken' }
  /** `used`: characters of the piece up to the end of the call. */
  | { readonly kind: 'whole'; readonly call: Call; readonly used: number };

/** One call behind its mark, piece by piece. */
export type CallBody = {
  push(text: string): BodyStep;
  /** Nothing more comes: the call, where that is whole all the same. */
  end(): Call | undefined;
};

/** Calls that begin with a mark. One that is none is text, and what follows its mark is looked through again. */
export class MarkedCalls implements CallReader {
  readonly #mark: string;
  readonly #newBody: () => CallBody;
  /** An end of the text that may become a mark. */
  #held = '';
  #body: CallBody | undefined;
  /** What came since the mark. */
  #inside = '';

  constructor(mark: string, newBody: () => CallBody) {
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
    while (this.#body !== undefined) {
      const call = this.#body.end();
      const inside = this.#leave();
      if (call !== undefined) {
        pieces.push({ kind: 'call', call, text: this.#mark + inside });
        continue;
      }
      tell(pieces, this.#mark);
      this.#read(inside, pieces);
    }
    tell(pieces, this.#held);
    this.#held = '';
    return pieces;
  }

  #read(text: string, pieces: Piece[]): void {
    let rest = text;
    while (rest !== '')
      rest = this.#body === undefined ? this.#find(rest, pieces) : this.#follow(this.#body, rest, pieces);
  }

  /** Looks for the mark: what follows it. */
  #find(text: string, pieces: Piece[]): string {
    const whole = this.#held + text;
    const at = whole.indexOf(this.#mark);
    const end = at < 0 ? whole.length - overlap(whole, this.#mark) : at;
    tell(pieces, whole.slice(0, end));
    this.#held = at < 0 ? whole.slice(end) : '';
    if (at < 0) return '';
    this.#body = this.#newBody();
    return whole.slice(at + this.#mark.length);
  }

  /** Gives the call what came: what is to be looked through after it. */
  #follow(body: CallBody, text: string, pieces: Piece[]): string {
    const step = body.push(text);
    if (step.kind === 'open') {
      this.#inside += text;
      return '';
    }
    const inside = this.#leave();
    if (step.kind === 'broken') {
      tell(pieces, this.#mark);
      return inside + text;
    }
    const { call, used } = step;
    pieces.push({ kind: 'call', call, text: this.#mark + inside + text.slice(0, used) });
    return text.slice(used);
  }

  #leave(): string {
    const inside = this.#inside;
    this.#body = undefined;
    this.#inside = '';
    return inside;
  }
}
