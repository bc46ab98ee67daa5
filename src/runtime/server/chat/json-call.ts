import { overlap } from '../../engine/model/stop-strings.ts';
import type { BodyStep, CallBody, Piece } from './call-reader.ts';
import { JsonObject, type ObjectStep } from './json-object.ts';

const parsed = (written: string): unknown => {
  try {
    return JSON.parse(written);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
};

type Arguments = Extract<Piece, { kind: 'arguments' }>;

const more = (text: string): Arguments => ({ kind: 'arguments', arguments: text, open: true, text });
/** What belongs to a call behind its arguments. */
const behind = (text: string, open = true): Arguments => ({ kind: 'arguments', arguments: '', open, text });

/**
 * `{"name": "…", "arguments": {…}}`, and the mark that ends it, where there is one. Of two values with one name the first counts.
 *
 * Arguments behind the name are told as they come; from where they are no JSON, all up to the mark is. Arguments before the name are
 * told once that is known.
 */
export class JsonCall implements CallBody {
  readonly #prefix: string;
  readonly #names: ReadonlySet<string>;
  readonly #under: readonly string[];
  readonly #mark: string | undefined;
  readonly #object = new JsonObject();
  #state: 'before' | 'arguments' | 'broken' | 'after' | 'mark' = 'before';
  /** All that may be no call, or the beginning of the mark. */
  #held = '';
  /** Where a name, or arguments before it, begin in that. */
  #start = 0;
  #name: string | undefined;
  #arguments: string | undefined;

  /** `under`: what arguments are called. */
  constructor(before: string, names: ReadonlySet<string>, under: readonly string[], mark?: string) {
    this.#prefix = before;
    this.#names = names;
    this.#under = under;
    this.#mark = mark;
  }

  push(text: string): BodyStep {
    const pieces: Piece[] = [];
    let at = 0;
    if (this.#state === 'before') {
      const step = this.#before(text, pieces);
      if (typeof step !== 'number') return step;
      at = step;
    }
    if (this.#state === 'arguments') at = this.#follow(text, at, pieces);
    if (this.#state === 'after') at = this.#leave(text, at, pieces);
    if (this.#state === 'broken') return this.#seek(text.slice(at), pieces);
    return this.#state === 'mark' ? this.#end(text.slice(at), pieces) : { kind: 'open', pieces };
  }

  /** Small models end an answer without the mark, or within it. */
  end(): Exclude<BodyStep, { kind: 'open' }> {
    const held = this.#held;
    if (this.#state === 'before') return { kind: 'none', rest: held };
    const isCut = this.#state === 'arguments' || (this.#state === 'broken' && this.#mark !== undefined);
    return { kind: 'done', pieces: [behind(held, isCut)], rest: '' };
  }

  /** Looks whether it is a call: how much of the text was read until it was known to be one. */
  #before(text: string, pieces: Piece[]): number | BodyStep {
    const base = this.#held.length;
    this.#held += text;
    for (let at = 0; ; ) {
      const step = this.#object.next(text, at);
      at = step.at;
      if (step.kind === 'open') return { kind: 'open', pieces };
      if (!this.#mayBe(step.kind, base + at)) return { kind: 'none', rest: this.#held };
      if (this.#state === 'before' || this.#name === undefined) continue;
      pieces.push({ kind: 'call', name: this.#name, text: this.#prefix + this.#held.slice(0, base + at) });
      if (this.#arguments !== undefined) pieces.push({ ...behind(''), arguments: this.#arguments });
      this.#held = '';
      return at;
    }
  }

  /** Takes a value of the object that begins or ended: false where it is no call. `at`: in what is held. */
  #mayBe(kind: ObjectStep['kind'], at: number): boolean {
    const { name } = this.#object;
    const isName = name === 'name' && this.#name === undefined;
    const isArguments = this.#under.includes(name) && this.#arguments === undefined;
    if (kind === 'begins') {
      this.#start = at;
      if (!isArguments) return true;
      if (this.#name !== undefined) this.#state = 'arguments';
      return this.#held[at] === '{';
    }
    if (kind !== 'ends') return false;
    const written = isName || isArguments ? this.#held.slice(this.#start, at) : '';
    if (isArguments) this.#arguments = written;
    if (!isName) return true;
    const value = parsed(written);
    if (typeof value !== 'string' || !this.#names.has(value)) return false;
    this.#name = value;
    if (this.#arguments !== undefined) this.#state = 'after';
    return true;
  }

  #follow(text: string, from: number, pieces: Piece[]): number {
    const { kind, at } = this.#object.next(text, from);
    if (kind === 'ends') this.#state = 'after';
    if (kind === 'broken') this.#state = 'broken';
    if (at > from) pieces.push(more(text.slice(from, at)));
    return at;
  }

  /** What follows in the object is of the call, and tells nothing. */
  #leave(text: string, from: number, pieces: Piece[]): number {
    let step = this.#object.next(text, from);
    while (step.kind === 'begins' || step.kind === 'ends') step = this.#object.next(text, step.at);
    if (step.kind !== 'open') this.#state = 'mark';
    if (step.at > from) pieces.push(behind(text.slice(from, step.at)));
    return step.at;
  }

  /** Broken arguments up to the mark. */
  #seek(text: string, pieces: Piece[]): BodyStep {
    const mark = this.#mark;
    const whole = this.#held + text;
    const at = mark === undefined ? -1 : whole.indexOf(mark);
    if (mark !== undefined && at >= 0) {
      pieces.push(more(whole.slice(0, at)), behind(mark, false));
      return { kind: 'done', pieces, rest: whole.slice(at + mark.length) };
    }
    const end = whole.length - overlap(whole, mark ?? '');
    this.#held = whole.slice(end);
    if (end > 0) pieces.push(more(whole.slice(0, end)));
    return { kind: 'open', pieces };
  }

  /** White space and the mark. */
  #end(text: string, pieces: Piece[]): BodyStep {
    const mark = this.#mark ?? '';
    const whole = this.#held + text;
    const rest = mark === '' ? whole : whole.trimStart();
    const isOpen = rest.length < mark.length && mark.startsWith(rest);
    const end = whole.length - rest.length + (rest.startsWith(mark) ? mark.length : 0);
    if (end > 0 || !isOpen) pieces.push(behind(whole.slice(0, end), isOpen));
    this.#held = whole.slice(end);
    return isOpen ? { kind: 'open', pieces } : { kind: 'done', pieces, rest: this.#held };
  }
}
