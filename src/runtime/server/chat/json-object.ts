/** Objects and lists within each other. */
const maxDepth = 64;

type Expected = 'object' | 'first key' | 'key' | 'colon' | 'first value' | 'value' | 'more';

/** Where something begins and ends. A text that still grows is not cut: that would copy all of it each time. */
type Span = readonly [start: number, end: number];

/** What a character did: more is needed, it can be no object any more, or this is its end. */
type State = 'open' | 'broken' | 'whole';

/**
 * A JSON object that comes piece by piece. Its form is checked at each character, so that what is no object is known as early as it
 * can be; its texts and numbers are checked by `JSON.parse` at the end.
 */
export class JsonObject {
  #text = '';
  #expected: Expected = 'object';
  #within: 'text' | 'escape' | 'word' | undefined;
  readonly #open: ('{' | '[')[] = [];
  /** Where the object's own present name or value begins. */
  #start = 0;
  #name: Span = [0, 0];
  readonly #members: { readonly name: Span; readonly value: Span }[] = [];

  /** `open`, `broken`, or how many characters of the piece belong to it. White space before it does. */
  push(piece: string): 'open' | 'broken' | number {
    const base = this.#text.length;
    this.#text += piece;
    for (let at = 0; at < piece.length; at += 1) {
      const state = this.#take(piece[at] ?? '', base + at);
      if (state === 'broken') return 'broken';
      if (state === 'open') continue;
      this.#text = this.#text.slice(0, base + at + 1);
      return at + 1;
    }
    return 'open';
  }

  /** All of it, once it is whole. */
  get text(): string {
    return this.#text;
  }

  /** The value of one of its own members, as it is written. */
  member(name: string): string | undefined {
    const written = JSON.stringify(name);
    const found = this.#members.findLast((member) => this.#text.slice(...member.name) === written);
    return found === undefined ? undefined : this.#text.slice(...found.value);
  }

  #take(c: string, at: number): State {
    if (this.#within === 'escape') {
      this.#within = 'text';
      return 'open';
    }
    if (this.#within === 'text') {
      if (c === '\\') this.#within = 'escape';
      else if (c === '"') this.#textEnds(at + 1);
      return 'open';
    }
    if (this.#within === 'word') {
      if (/[\w+.-]/.test(c)) return 'open';
      this.#valueEnds(at);
    }
    return /[ \t\n\r]/.test(c) ? 'open' : this.#begins(c, at);
  }

  #begins(c: string, at: number): State {
    switch (this.#expected) {
      case 'object':
        return c === '{' ? this.#opens('{') : 'broken';
      case 'first key':
        return c === '}' ? this.#closes(at + 1) : this.#nameBegins(c, at);
      case 'key':
        return this.#nameBegins(c, at);
      case 'colon':
        if (c !== ':') return 'broken';
        this.#expected = 'value';
        return 'open';
      case 'first value':
        return c === ']' ? this.#closes(at + 1) : this.#valueBegins(c, at);
      case 'value':
        return this.#valueBegins(c, at);
      case 'more':
        return this.#goesOn(c, at);
    }
  }

  #goesOn(c: string, at: number): State {
    const inside = this.#open.at(-1);
    if (c === (inside === '{' ? '}' : ']')) return this.#closes(at + 1);
    if (c !== ',') return 'broken';
    this.#expected = inside === '{' ? 'key' : 'value';
    return 'open';
  }

  #nameBegins(c: string, at: number): State {
    if (c !== '"') return 'broken';
    this.#expected = 'key';
    this.#within = 'text';
    if (this.#open.length === 1) this.#start = at;
    return 'open';
  }

  #valueBegins(c: string, at: number): State {
    if (this.#open.length === 1) this.#start = at;
    if (c === '{' || c === '[') return this.#opens(c);
    if (c !== '"' && !/[\w-]/.test(c)) return 'broken';
    this.#expected = 'value';
    this.#within = c === '"' ? 'text' : 'word';
    return 'open';
  }

  #opens(c: '{' | '['): State {
    if (this.#open.length === maxDepth) return 'broken';
    this.#open.push(c);
    this.#expected = c === '{' ? 'first key' : 'first value';
    return 'open';
  }

  #closes(end: number): State {
    this.#open.pop();
    if (this.#open.length === 0) return 'whole';
    this.#valueEnds(end);
    return 'open';
  }

  #textEnds(end: number): void {
    if (this.#expected !== 'key') {
      this.#valueEnds(end);
      return;
    }
    this.#within = undefined;
    this.#expected = 'colon';
    if (this.#open.length === 1) this.#name = [this.#start, end];
  }

  #valueEnds(end: number): void {
    this.#within = undefined;
    this.#expected = 'more';
    if (this.#open.length === 1) this.#members.push({ name: this.#name, value: [this.#start, end] });
  }
}
