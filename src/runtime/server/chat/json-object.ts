type Expected = 'object' | 'first key' | 'key' | 'colon' | 'own value' | 'first value' | 'value' | 'more';

/**
 * Where reading stopped: one of its own values begins here, or ended; it is whole; this character makes it no object; a mark came within
 * a text that is none of JSON; or more is needed. `at`: characters of the piece before that, a mark included.
 */
export type ObjectStep = {
  readonly kind: 'begins' | 'ends' | 'whole' | 'broken' | 'marked' | 'open';
  readonly at: number;
};

/**
 * A JSON object that comes piece by piece. Its form is checked at each character, so that what is no object is known as early as it
 * can be; not so what stands within its texts, words and numbers. But a text with a line break, or another control character, may be one
 * whose quote is left out: a mark is found within it.
 */
export class JsonObject {
  readonly #marks: readonly string[];
  #expected: Expected = 'object';
  #within: 'text' | 'escape' | 'word' | undefined;
  readonly #open: ('{' | '[')[] = [];
  #name = '';
  /** The present text has a control character. */
  #isLoose = false;
  #mark = '';

  /** `marks`: each has one `<`, its first character. */
  constructor(marks: readonly string[] = []) {
    this.#marks = marks;
  }

  /** The beginning of a mark that reading stopped behind, or all of it. */
  get mark(): string {
    return this.#mark;
  }

  /** Of its present own value, as it is written. */
  get name(): string {
    return this.#name;
  }

  /** Not within a value of it. */
  get #isOwn(): boolean {
    return this.#open.length === 1;
  }

  /** Reads on in a piece. White space before the object belongs to it. */
  next(piece: string, from: number): ObjectStep {
    for (let at = from; at < piece.length; at += 1) {
      const c = piece[at] ?? '';
      const isWord = this.#within === 'word';
      if (isWord && /[\w+.-]/.test(c)) continue;
      // What ends a word is no part of it.
      if (isWord && this.#valueEnds() === 'ends') return { kind: 'ends', at };
      const kind = this.#take(c);
      if (kind !== 'open') return { kind, at: kind === 'broken' || kind === 'begins' ? at : at + 1 };
    }
    return { kind: 'open', at: piece.length };
  }

  #take(c: string): ObjectStep['kind'] {
    if (this.#within !== undefined) return this.#inText(c);
    return /[ \t\n\r]/.test(c) ? 'open' : this.#begins(c);
  }

  #inText(c: string): ObjectStep['kind'] {
    const isEscaped = this.#within === 'escape';
    if (c === '"' && !isEscaped) return this.#textEnds();
    if (this.#expected === 'key' && this.#isOwn) this.#name += c;
    this.#within = c === '\\' && !isEscaped ? 'escape' : 'text';
    if (c < ' ') this.#isLoose = true;
    return this.#isLoose && this.#marksEnd(c) ? 'marked' : 'open';
  }

  /** Whether a mark ends here. */
  #marksEnd(c: string): boolean {
    if (this.#mark === '' && c !== '<') return false;
    const mark = c === '<' ? c : this.#mark + c;
    this.#mark = this.#marks.some((one) => one.startsWith(mark)) ? mark : '';
    return this.#marks.includes(this.#mark);
  }

  #begins(c: string): ObjectStep['kind'] {
    switch (this.#expected) {
      case 'object':
        return c === '{' ? this.#opens(c) : 'broken';
      case 'first key':
        return c === '}' ? this.#closes() : this.#nameBegins(c);
      case 'key':
        return this.#nameBegins(c);
      case 'colon':
        if (c !== ':') return 'broken';
        this.#expected = this.#isOwn ? 'own value' : 'value';
        return 'open';
      case 'own value':
        // It is taken next.
        this.#expected = 'value';
        return 'begins';
      case 'first value':
        return c === ']' ? this.#closes() : this.#valueBegins(c);
      case 'value':
        return this.#valueBegins(c);
      case 'more':
        return this.#goesOn(c);
    }
  }

  #goesOn(c: string): ObjectStep['kind'] {
    const inside = this.#open.at(-1);
    if (c === (inside === '{' ? '}' : ']')) return this.#closes();
    if (c !== ',') return 'broken';
    this.#expected = inside === '{' ? 'key' : 'value';
    return 'open';
  }

  #nameBegins(c: string): ObjectStep['kind'] {
    if (c !== '"') return 'broken';
    this.#expected = 'key';
    this.#within = 'text';
    if (this.#isOwn) this.#name = '';
    return 'open';
  }

  #valueBegins(c: string): 'open' | 'broken' {
    if (c === '{' || c === '[') return this.#opens(c);
    if (c !== '"' && !/[\w-]/.test(c)) return 'broken';
    this.#expected = 'value';
    this.#within = c === '"' ? 'text' : 'word';
    return 'open';
  }

  #opens(c: '{' | '['): 'open' {
    this.#open.push(c);
    this.#expected = c === '{' ? 'first key' : 'first value';
    return 'open';
  }

  #closes(): ObjectStep['kind'] {
    this.#open.pop();
    return this.#open.length === 0 ? 'whole' : this.#valueEnds();
  }

  #textEnds(): ObjectStep['kind'] {
    this.#isLoose = false;
    this.#mark = '';
    if (this.#expected !== 'key') return this.#valueEnds();
    this.#within = undefined;
    this.#expected = 'colon';
    return 'open';
  }

  #valueEnds(): 'ends' | 'open' {
    this.#within = undefined;
    this.#expected = 'more';
    return this.#isOwn ? 'ends' : 'open';
  }
}
