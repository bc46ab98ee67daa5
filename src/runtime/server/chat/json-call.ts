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
const behind = (text: string, open: Arguments['open'] = true): Arguments => ({
  kind: 'arguments',
  arguments: '',
  open,
  text,
});

/**
 * `{"name": "…", "arguments": {…}}`, and the mark that ends it, where there is one. Of two values with one name the first counts.
 *
 * Arguments behind the name are told as they come; from where they are no JSON, all up to the mark is, or up to the one that begins
 * another call. Arguments before the name are told once that is known.
 */
export class JsonCall implements CallBody {
  readonly #prefix: string;
  readonly #names: ReadonlySet<string>;
  readonly #under: readonly string[];
  readonly #mark: string | undefined;
  /** What ends arguments that are no JSON. */
  readonly #ends: readonly string[];
  readonly #object: JsonObject;
  #state: 'before' | 'arguments' | 'broken' | 'after' | 'mark' | 'ended' = 'before';
  /** All that may be no call, or a mark, or the beginning of one. */
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
    this.#ends = mark === undefined ? [] : [before, mark];
    this.#object = new JsonObject(this.#ends);
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
    const rest = text.slice(at);
    if (this.#state === 'broken') return this.#seek(rest, pieces);
    if (this.#state === 'ended') {
      // A part of the text where it can be: what follows is not copied for each call.
      const start = at - this.#held.length;
      return this.#ended(this.#held, start < 0 ? this.#held + rest : text.slice(start), pieces);
    }
    return this.#state === 'mark' ? this.#end(rest, pieces) : { kind: 'open', pieces };
  }

  /** Small models end an answer without the mark, or within it. */
  end(): Exclude<BodyStep, { kind: 'open' }> {
    const held = this.#held;
    if (this.#state === 'before') return { kind: 'none', rest: held };
    const isCut = this.#state === 'arguments' || this.#state === 'broken';
    const isEndless = this.#state === 'broken' && this.#mark === undefined;
    return { kind: 'done', pieces: [behind(held, isEndless ? 'endless' : isCut)], rest: '' };
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
    const step = this.#object.next(text, from);
    if (step.kind === 'ends') this.#state = 'after';
    if (step.kind === 'broken') this.#state = 'broken';
    const read = this.#read(step, text, from);
    if (read !== '') pieces.push(more(read));
    return step.at;
  }

  /** What follows in the object is of the call, and tells nothing. */
  #leave(text: string, from: number, pieces: Piece[]): number {
    let step = this.#object.next(text, from);
    while (step.kind === 'begins' || step.kind === 'ends') step = this.#object.next(text, step.at);
    if (step.kind !== 'open') this.#state = 'mark';
    const read = this.#read(step, text, from);
    if (read !== '') pieces.push(behind(read));
    return step.at;
  }

  /** What was read of the object, without what is a mark, or may become one. */
  #read({ kind, at }: ObjectStep, text: string, from: number): string {
    if (kind === 'marked') this.#state = 'ended';
    const whole = this.#held + text.slice(from, at);
    const end = whole.length - this.#object.mark.length;
    this.#held = whole.slice(end);
    return whole.slice(0, end);
  }

  /** Broken arguments up to a mark. */
  #seek(text: string, pieces: Piece[]): BodyStep {
    const whole = this.#held + text;
    let found: string | undefined;
    let end = whole.length;
    for (const mark of this.#ends) {
      // Not beyond the beginning of the next call: else each call would look through all that follows.
      const at = whole.slice(0, end).indexOf(mark);
      if (at >= 0) [found, end] = [mark, at];
    }
    if (found === undefined) end -= Math.max(0, ...this.#ends.map((mark) => overlap(whole, mark)));
    if (end > 0) pieces.push(more(whole.slice(0, end)));
    this.#held = whole.slice(end);
    if (found === undefined) return { kind: 'open', pieces };
    return this.#ended(found, whole.slice(end), pieces);
  }

  /** Ends at a mark, with which the text begins. One that begins the next call is that one's. */
  #ended(mark: string, text: string, pieces: Piece[]): BodyStep {
    const own = mark === this.#mark ? mark : '';
    pieces.push(behind(own, false));
    return { kind: 'done', pieces, rest: text.slice(own.length) };
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
