import type { Call } from './call-reader.ts';
import { callOf } from './json-call.ts';
import { JsonObject } from './json-object.ts';
import type { BodyStep, CallBody } from './marked-calls.ts';

const endMark = '</tool_call>';

/** `{"name": "…", "arguments": {…}}</tool_call>`, behind <tool_call>: Hermes, Qwen, SmolLM3, Granite 4. */
export class HermesCall implements CallBody {
  readonly #names: ReadonlySet<string>;
  readonly #object = new JsonObject();
  #call: Call | undefined;
  /** Of the mark that ends it. */
  #tail = '';

  constructor(names: ReadonlySet<string>) {
    this.#names = names;
  }

  push(text: string): BodyStep {
    let at = 0;
    if (this.#call === undefined) {
      const step = this.#object.push(text);
      if (typeof step === 'string') return { kind: step };
      this.#call = callOf(this.#object, this.#names, ['arguments']);
      if (this.#call === undefined) return { kind: 'broken' };
      at = step;
    }
    for (; at < text.length; at += 1) {
      const c = text[at] ?? '';
      if (this.#tail === '' && /\s/.test(c)) continue;
      this.#tail += c;
      if (!endMark.startsWith(this.#tail)) return { kind: 'broken' };
      if (this.#tail === endMark) return { kind: 'whole', call: this.#call, used: at + 1 };
    }
    return { kind: 'open' };
  }

  /** Small models end an answer without the mark, or within it. */
  end(): Call | undefined {
    return this.#call;
  }
}
