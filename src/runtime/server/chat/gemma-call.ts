import type { BodyStep, CallBody } from './call-reader.ts';

const prefix = 'call:';
const quote = '<escape>';
export const gemmaMark = '<start_function_call>';
/** What ends a call. The second one begins the answer of the tool, which is not the model's to write. */
const ends = ['<end_function_call>', '<start_function_response>'];
const maxDepth = 64;

type Call = { readonly name: string; readonly arguments: string };

/** Reads `name{key:value,…}` and writes the arguments as JSON. Undefined wherever it is something else. */
class Body {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  call(): Call | undefined {
    if (!this.#has(prefix)) return undefined;
    const name = this.#match(/[\w.-]+/y);
    if (name === undefined || !this.#has('{')) return undefined;
    const members = this.#members(1);
    if (members === undefined) return undefined;
    this.#skip();
    return this.#at === this.#text.length ? { name, arguments: members } : undefined;
  }

  #value(depth: number): string | undefined {
    if (this.#has(quote)) return this.#quoted();
    if (this.#has('{')) return this.#members(depth + 1);
    if (this.#has('[')) return this.#list(depth + 1);
    return this.#match(/(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?=\s*[,}\]])/y);
  }

  #members(depth: number): string | undefined {
    return this.#items('}', depth, () => {
      const key = this.#has(quote) ? this.#quoted() : this.#bare();
      if (key === undefined || !this.#has(':')) return undefined;
      const value = this.#value(depth);
      return value === undefined ? undefined : `${key}: ${value}`;
    });
  }

  #list(depth: number): string | undefined {
    return this.#items(']', depth, () => this.#value(depth));
  }

  /** Items up to the bracket that closes them, as JSON with its brackets. */
  #items(close: '}' | ']', depth: number, item: () => string | undefined): string | undefined {
    const open = close === '}' ? '{' : '[';
    if (depth > maxDepth) return undefined;
    if (this.#has(close)) return open + close;
    const items: string[] = [];
    do {
      const one = item();
      if (one === undefined) return undefined;
      items.push(one);
    } while (this.#has(','));
    return this.#has(close) ? open + items.join(', ') + close : undefined;
  }

  /** A text up to the next quote, as JSON. */
  #quoted(): string | undefined {
    const end = this.#text.indexOf(quote, this.#at);
    if (end < 0) return undefined;
    const text = this.#text.slice(this.#at, end);
    this.#at = end + quote.length;
    return JSON.stringify(text);
  }

  #bare(): string | undefined {
    const key = this.#match(/[^\s:{}[\],<>]+/y);
    return key === undefined ? undefined : JSON.stringify(key);
  }

  #has(sign: string): boolean {
    this.#skip();
    if (!this.#text.startsWith(sign, this.#at)) return false;
    this.#at += sign.length;
    return true;
  }

  #match(pattern: RegExp): string | undefined {
    this.#skip();
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }

  /** White space between signs counts as nothing. */
  #skip(): void {
    const space = /\s*/y;
    space.lastIndex = this.#at;
    this.#at += space.exec(this.#text)?.[0].length ?? 0;
  }
}

/** What a character did: more is needed, it can be no call any more, or this ends it. */
type State = 'open' | 'broken' | 'ends';

/**
 * `call:name{key:<escape>text<escape>,other:1}<end_function_call>`, behind <start_function_call>: FunctionGemma. Brackets and marks are
 * followed character by character, so that what is no call is known as early as it can be; the rest is read at the end. Its arguments are
 * written as JSON, so it is told once it is whole.
 */
export class GemmaCall implements CallBody {
  readonly #names: ReadonlySet<string>;
  #text = '';
  /** Characters up to the bracket that closes the call. */
  #length = 0;
  #within: 'prefix' | 'name' | 'values' | 'end' = 'prefix';
  #depth = 0;
  #quoted = false;
  /** Beginning of a mark. */
  #mark = '';
  readonly #prefix: string;

  constructor(before: string, names: ReadonlySet<string>) {
    this.#prefix = before;
    this.#names = names;
  }

  push(text: string): BodyStep {
    const base = this.#text.length;
    this.#text += text;
    for (let at = 0; at < text.length; at += 1) {
      const state = this.#take(text[at] ?? '', base + at);
      if (state === 'open') continue;
      return state === 'ends' ? this.#told(base + at + 1) : { kind: 'none', rest: this.#text };
    }
    return { kind: 'open', pieces: [] };
  }

  /** Small models end an answer without the mark, or within it. */
  end(): Exclude<BodyStep, { kind: 'open' }> {
    return this.#told(this.#text.length);
  }

  /** `end`: of what belongs to the call, in what came. */
  #told(end: number): Exclude<BodyStep, { kind: 'open' }> {
    const call = this.#within === 'end' ? new Body(this.#text.slice(0, this.#length)).call() : undefined;
    if (call === undefined || !this.#names.has(call.name)) return { kind: 'none', rest: this.#text };
    const { name, arguments: written } = call;
    return {
      kind: 'done',
      pieces: [
        { kind: 'call', name, text: this.#prefix + this.#text.slice(0, end) },
        { kind: 'arguments', arguments: written, open: false, text: '' },
      ],
      rest: this.#text.slice(end),
    };
  }

  #take(c: string, at: number): State {
    if (this.#mark !== '' || c === '<') return this.#quoted ? this.#inText(c) : this.#inMark(c);
    if (this.#quoted) return 'open';
    switch (this.#within) {
      case 'prefix':
        if (c !== prefix[at]) return 'broken';
        if (at === prefix.length - 1) this.#within = 'name';
        return 'open';
      case 'name':
        if (c === '{') return this.#bracket(c, at);
        return /[\w.\s-]/.test(c) ? 'open' : 'broken';
      case 'values':
        return this.#bracket(c, at);
      case 'end':
        return /\s/.test(c) ? 'open' : 'broken';
    }
  }

  #bracket(c: string, at: number): State {
    this.#within = 'values';
    if (c === '{' || c === '[') this.#depth += 1;
    if (c === '}' || c === ']') this.#depth -= 1;
    if (this.#depth > maxDepth) return 'broken';
    if (this.#depth > 0) return 'open';
    this.#within = 'end';
    this.#length = at + 1;
    return 'open';
  }

  /** Of all marks a text has the one alone that ends it. */
  #inText(c: string): State {
    const mark = c === '<' ? c : this.#mark + c;
    this.#mark = quote.startsWith(mark) ? mark : '';
    if (mark !== quote) return 'open';
    this.#mark = '';
    this.#quoted = false;
    return 'open';
  }

  #inMark(c: string): State {
    this.#mark += c;
    const mark = this.#mark;
    if (this.#within === 'end') {
      if (ends.includes(mark)) return 'ends';
      return ends.some((end) => end.startsWith(mark)) ? 'open' : 'broken';
    }
    if (this.#within !== 'values' || !quote.startsWith(mark)) return 'broken';
    if (mark !== quote) return 'open';
    this.#mark = '';
    this.#quoted = true;
    return 'open';
  }
}
