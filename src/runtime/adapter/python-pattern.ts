/**
 * Rewrites a regular expression of Python's `re` for RE2. Both read most expressions alike, and this lets through only
 * what they do: the rest is either translated (`\Z`, `{,3}`, brackets in a set) or an error, never read in another
 * sense. What is matched are module names, which are ASCII without line ends: there `$`, `.`, `\w` and `\d` mean the
 * same in both.
 *
 * Not expressible: look-around, back-references, atomic groups and possessive quantifiers. Refused as Python does it:
 * flags inside an expression, a quantifier after another or after nothing, escapes that only RE2 has.
 */

/** Escapes outside a set: classes, boundaries and control characters that both have. `\Z` is `\z` in RE2. */
const escapes = new Set('dDwWsSbBAnrtfva');
const setEscapes = new Set('dDwWsSnrtfva');
const classes = new Set('dDwWsS');

const group = /\((?:\?(?::|P<[A-Za-z_][A-Za-z0-9_]*>|[ims]+:))?/y;
const leadingFlags = /^(?:\(\?[ims]+\))+/;
const repeat = /\{(?:(\d+)(,?)(\d*)|,(\d*))\}/y;
const hex = /x[0-9A-Fa-f]{2}/y;

/** What stands before a quantifier: something to repeat, a quantifier already, or neither. */
type Before = 'nothing' | 'item' | 'quantifier';

class Reader {
  readonly #text: string;
  #at = 0;
  #out = '';
  #before: Before = 'nothing';

  constructor(text: string) {
    this.#text = text;
  }

  read(): string {
    const flags = leadingFlags.exec(this.#text)?.[0] ?? '';
    this.#put(flags, 'nothing', flags.length);
    while (this.#at < this.#text.length) this.#next();
    return this.#out;
  }

  #peek(ahead = 0): string {
    return this.#text[this.#at + ahead] ?? '';
  }

  #put(text: string, before: Before, length = 1): void {
    this.#out += text;
    this.#at += length;
    this.#before = before;
  }

  #match(pattern: RegExp, ahead = 0): RegExpExecArray | null {
    pattern.lastIndex = this.#at + ahead;
    return pattern.exec(this.#text);
  }

  #refuse(what: string): Error {
    return new Error(`${what} at character ${this.#at}`);
  }

  #next(): void {
    const character = this.#peek();
    if (character === '\\') this.#escape();
    else if (character === '[') this.#set();
    else if (character === '(') this.#group();
    else if (character === '{') this.#braces();
    else if ('*+?'.includes(character)) this.#quantifier(character, 1);
    else if ('|^$'.includes(character)) this.#put(character, 'nothing');
    // Literal in Python where it closes nothing.
    else if ('}]'.includes(character)) this.#put(`\\${character}`, 'item');
    else this.#put(character, 'item');
  }

  #escape(): void {
    const character = this.#peek(1);
    const byte = this.#match(hex, 1);
    if (byte !== null) this.#put(`\\${byte[0]}`, 'item', 4);
    else if (character === 'Z') this.#put('\\z', 'nothing', 2);
    else if ('bBA'.includes(character) && character !== '') this.#put(`\\${character}`, 'nothing', 2);
    else if (escapes.has(character) || isPunctuation(character)) this.#put(`\\${character}`, 'item', 2);
    else throw this.#refuse(`the escape \\${character}`);
  }

  #group(): void {
    const open = this.#match(group)?.[0] ?? '';
    if (open === '(' && this.#peek(1) === '?')
      throw this.#refuse(`the group ${this.#text.slice(this.#at, this.#at + 4)}`);
    this.#put(open, 'nothing', open.length);
  }

  #braces(): void {
    const found = this.#match(repeat);
    if (found === null) {
      this.#put('\\{', 'item');
      return;
    }
    const [whole, least = '0', comma = ',', most, mostOnly] = found;
    this.#quantifier(`{${least}${comma}${most ?? mostOnly ?? ''}}`, whole.length);
  }

  #quantifier(text: string, length: number): void {
    if (this.#before !== 'item') {
      throw this.#refuse(`a quantifier after ${this.#before === 'nothing' ? 'nothing' : 'another'}`);
    }
    this.#put(text, 'quantifier', length);
    if (this.#peek() === '?') this.#put('?', 'quantifier');
  }

  #set(): void {
    let out = '[';
    this.#at += 1;
    if (this.#peek() === '^') {
      out += '^';
      this.#at += 1;
    }
    for (let first = true; first || this.#peek() !== ']'; first = false) out += this.#setItem();
    this.#put(`${out}]`, 'item');
  }

  /** One character or range of a set, as RE2 reads it. */
  #setItem(): string {
    const from = this.#setCharacter();
    if (this.#peek() !== '-' || this.#peek(1) === ']' || this.#peek(1) === '') return from;
    this.#at += 1;
    const to = this.#setCharacter();
    if (isClass(from) || isClass(to)) throw this.#refuse('a range with a class as its end');
    return `${from}-${to}`;
  }

  #setCharacter(): string {
    const character = this.#peek();
    if (character === '') throw this.#refuse('a set without its end');
    if (character === '\\') return this.#setEscape();
    this.#at += 1;
    // Escaped, a bracket begins no POSIX class, a hyphen no range and a caret no complement.
    return isPunctuation(character) ? `\\${character}` : character;
  }

  #setEscape(): string {
    const byte = this.#match(hex, 1);
    const character = this.#peek(1);
    if (character === 'b') {
      this.#at += 2;
      return String.raw`\x08`;
    }
    if (byte === null && !setEscapes.has(character) && !isPunctuation(character)) {
      throw this.#refuse(`the escape \\${character} in a set`);
    }
    this.#at += byte === null ? 2 : 4;
    return `\\${byte?.[0] ?? character}`;
  }
}

const isPunctuation = (character: string): boolean => /^[!-/:-@[-`{-~]$/.test(character);
const isClass = (item: string): boolean =>
  item.length === 2 && item.startsWith('\\') && classes.has(item.slice(1));

/**
 * The RE2 expression that matches what this Python expression matches among module names.
 * @throws Error that names what RE2 cannot express or reads in another sense
 */
export const fromPython = (expression: string): string => new Reader(expression).read();
