import { overlap } from '../../engine/model/stop-strings.ts';

export type Thought = { readonly kind: 'reasoning' | 'content'; readonly text: string };

const begin = '<think>';
const end = '</think>';

/**
 * Tells thoughts from the answer behind them, piece by piece. They begin the text, between <think> and </think>; the marks and the
 * white space around them are of neither. A text that begins otherwise is the answer, unchanged.
 */
export class Thoughts {
  #state: 'before' | 'thinking' | 'between' | 'after' = 'before';
  /** White space that is told with what follows it. */
  #space = '';
  #held = '';
  #thought = false;

  /** Within thoughts. */
  get isOpen(): boolean {
    return this.#state === 'thinking';
  }

  push(text: string): readonly Thought[] {
    const told: Thought[] = [];
    let rest = text;
    while (rest !== '') rest = this.#step(rest, told);
    return told;
  }

  /** Nothing more comes. */
  end(): readonly Thought[] {
    const told: Thought[] = [];
    if (this.#state === 'before') add(told, 'content', this.#space + this.#held);
    if (this.#state === 'thinking') this.#think(told, this.#held);
    this.#space = '';
    this.#held = '';
    return told;
  }

  #step(text: string, told: Thought[]): string {
    switch (this.#state) {
      case 'before':
        return this.#before(text, told);
      case 'thinking':
        return this.#thinking(text, told);
      case 'between': {
        const rest = text.trimStart();
        if (rest !== '') this.#state = 'after';
        return rest;
      }
      case 'after':
        add(told, 'content', text);
        return '';
    }
  }

  #before(text: string, told: Thought[]): string {
    const begun = this.#held === '' ? text.trimStart() : text;
    this.#space += text.slice(0, text.length - begun.length);
    const whole = this.#held + begun;
    this.#held = '';
    if (whole.startsWith(begin)) {
      this.#state = 'thinking';
      this.#space = '';
      return whole.slice(begin.length);
    }
    if (begin.startsWith(whole)) {
      this.#held = whole;
      return '';
    }
    this.#state = 'after';
    add(told, 'content', this.#space + whole);
    this.#space = '';
    return '';
  }

  #thinking(text: string, told: Thought[]): string {
    const whole = this.#held + text;
    const at = whole.indexOf(end);
    const until = at < 0 ? whole.length - overlap(whole, end) : at;
    this.#think(told, whole.slice(0, until));
    this.#held = at < 0 ? whole.slice(until) : '';
    if (at < 0) return '';
    this.#state = 'between';
    this.#space = '';
    return whole.slice(at + end.length);
  }

  /** White space around all of the thoughts is left out. */
  #think(told: Thought[], text: string): void {
    const thought = text.trimEnd();
    if (thought !== '') {
      add(told, 'reasoning', this.#thought ? this.#space + thought : thought.trimStart());
      this.#space = '';
      this.#thought = true;
    }
    this.#space += text.slice(thought.length);
  }
}

const add = (told: Thought[], kind: Thought['kind'], text: string): void => {
  if (text !== '') told.push({ kind, text });
};
