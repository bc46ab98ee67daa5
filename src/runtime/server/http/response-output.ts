import type { FinishReason, GenerateEvent, TakenLogprob } from '../../engine/engine.ts';
import type { AnswerPart, AnswerReader } from '../chat/answer-reader.ts';
import {
  callItem,
  type ItemStatus,
  messageItem,
  reasoningItem,
  responseLogprobs,
  statusOf,
  textPart,
} from './response-shapes.ts';

/** An event of a stream, without its number. */
export type OutputEvent = { readonly type: string; readonly [field: string]: unknown };

type Token = Pick<Extract<GenerateEvent, { kind: 'token' }>, 'text' | 'ids' | 'logprobs'>;

type Part = { readonly type: string; readonly text: string; readonly logprobs?: readonly object[] };

/** How an item with one text is written, and what its events are called. */
type Form = {
  readonly item: (id: string, status: ItemStatus, parts: readonly Part[]) => Item;
  readonly part: (text: string, tokens: readonly TakenLogprob[]) => Part;
  /** What its events begin with: those of the text, and those of the part. */
  readonly text: string;
  readonly whole: string;
  readonly index: 'content_index' | 'summary_index';
};

const message: Form = {
  item: messageItem,
  part: textPart,
  text: 'response.output_text',
  whole: 'response.content_part',
  index: 'content_index',
};

/** Where thoughts stand in their item: once, whichever it is. */
const thoughtForms = {
  content: {
    item: (id, status, content) => reasoningItem(id, status, { content }),
    part: (text) => ({ type: 'reasoning_text', text }),
    text: 'response.reasoning_text',
    whole: 'response.content_part',
    index: 'content_index',
  },
  summary: {
    item: (id, status, summary) => reasoningItem(id, status, { summary }),
    part: (text) => ({ type: 'summary_text', text }),
    text: 'response.reasoning_summary_text',
    whole: 'response.reasoning_summary_part',
    index: 'summary_index',
  },
} as const satisfies Readonly<Record<string, Form>>;

type CallPart = Extract<AnswerPart, { kind: 'call' }>;

/** An item whose text is not at its end. */
type OpenText = {
  readonly kind: 'content' | 'reasoning';
  readonly id: string;
  text: string;
  readonly tokens: TakenLogprob[];
};

/** A call whose arguments are not at their end. */
type OpenCall = { readonly kind: 'call'; readonly id: string; readonly call: CallPart; text: string };

/** As OpenAI has it. */
type Item = { readonly id: string };

/** An item at its end. `events`: of what it has. */
type Ended = { readonly events: readonly OutputEvent[]; readonly item: Item };

/**
 * The output of a response as it comes: messages, thoughts and calls, in their order, and the events that tell them.
 *
 * Guarantees: an answer without anything is one empty message. The log probabilities of a message's text are told with it; those
 * of thoughts and calls are not.
 */
export class ResponseOutput {
  readonly #id: string;
  readonly #reader: AnswerReader;
  readonly #forms: Readonly<Record<OpenText['kind'], Form>>;
  readonly #items: Item[] = [];
  #open: OpenText | OpenCall | undefined;
  /** Of tokens whose text is held back. */
  #scored: TakenLogprob[] = [];
  /** Of the last token. */
  #last: readonly TakenLogprob[] = [];
  #tokens = 0;
  #thoughtTokens: number | undefined;

  /** `id`: of the answer. */
  constructor(id: string, reader: AnswerReader, thoughts: keyof typeof thoughtForms = 'content') {
    this.#id = id;
    this.#reader = reader;
    this.#forms = { content: message, reasoning: thoughtForms[thoughts] };
  }

  /** Items that are complete; all, once it ended. */
  get items(): readonly Item[] {
    return this.#items;
  }

  /** Tokens before the answer, where it had thoughts: their marks are among them. */
  get thoughtTokens(): number {
    return this.#thoughtTokens ?? (this.#open?.kind === 'reasoning' ? this.#tokens : 0);
  }

  push({ text, ids, logprobs = [] }: Token): readonly OutputEvent[] {
    this.#last = logprobs;
    this.#scored.push(...logprobs);
    const events = this.#tell(this.#reader.push(text));
    if (this.#open?.kind === 'call' && !this.#reader.isCalling) {
      events.push(...this.#close('completed'));
      this.#scored = [];
    }
    this.#tokens += ids.length;
    // What follows may be held back for long.
    if (this.#open?.kind === 'reasoning' && !this.#reader.isThinking) this.#thoughtTokens ??= this.#tokens;
    return events;
  }

  /** Nothing more comes. */
  end(finish: FinishReason): readonly OutputEvent[] {
    const events = this.#tell(this.#reader.end());
    if (this.#items.length === 0 && this.#open === undefined) events.push(...this.#begin('content'));
    if (this.#open?.kind === 'content' && this.#scored.length > 0) events.push(this.#delta(this.#open, ''));
    const isCut =
      this.#open?.kind === 'call' ? this.#reader.isCut(finish) : statusOf(finish) === 'incomplete';
    return [...events, ...this.#close(isCut ? 'incomplete' : 'completed')];
  }

  #tell(parts: readonly AnswerPart[]): OutputEvent[] {
    return parts.flatMap((part) => {
      if (part.kind === 'call') return this.#call(part);
      if (part.kind === 'arguments') return this.#argue(part.text);
      const events =
        this.#open?.kind === part.kind ? [] : [...this.#close('completed'), ...this.#begin(part.kind)];
      const open = this.#open;
      return open === undefined || open.kind === 'call' ? events : [...events, this.#delta(open, part.text)];
    });
  }

  /** Of the item that comes now. */
  #newId(): string {
    const place = this.#items.length;
    return place === 0 ? this.#id : `${this.#id}_${place}`;
  }

  #begin(kind: OpenText['kind']): OutputEvent[] {
    const { item, part, whole } = this.#forms[kind];
    const id = this.#newId();
    const open: OpenText = { kind, id, text: '', tokens: [] };
    this.#open = open;
    return [
      this.#itemEvent('added', item(id, 'in_progress', [])),
      this.#partEvent(`${whole}.added`, open, { part: part('', []) }),
    ];
  }

  #delta(open: OpenText, delta: string): OutputEvent {
    const told = open.kind === 'content' ? this.#scored : [];
    this.#scored = [];
    open.text += delta;
    open.tokens.push(...told);
    const more = open.kind === 'content' ? { logprobs: responseLogprobs(told) } : {};
    return this.#partEvent(`${this.#forms[open.kind].text}.delta`, open, { delta, ...more });
  }

  #close(status: ItemStatus): OutputEvent[] {
    const open = this.#open;
    if (open === undefined) return [];
    if (open.kind === 'reasoning') this.#thoughtTokens ??= this.#tokens;
    const { events, item } = open.kind === 'call' ? this.#endCall(open, status) : this.#endText(open, status);
    const all = [...events, this.#itemEvent('done', item)];
    this.#open = undefined;
    this.#scored = [...this.#last];
    this.#items.push(item);
    return all;
  }

  #endText(open: OpenText, status: ItemStatus): Ended {
    const { item, part, text: name, whole } = this.#forms[open.kind];
    const content = part(open.text, open.tokens);
    const { text, ...more } = content;
    const logprobs = 'logprobs' in more ? { logprobs: more.logprobs } : {};
    return {
      events: [
        this.#partEvent(`${name}.done`, open, { text, ...logprobs }),
        this.#partEvent(`${whole}.done`, open, { part: content }),
      ],
      item: item(open.id, status, [content]),
    };
  }

  #call(call: CallPart): OutputEvent[] {
    const before = this.#close('completed');
    this.#scored = [];
    const id = this.#newId();
    this.#open = { kind: 'call', id, call, text: '' };
    return [...before, this.#itemEvent('added', callItem(id, 'in_progress', call, ''))];
  }

  #argue(delta: string): OutputEvent[] {
    if (this.#open?.kind !== 'call') return [];
    this.#open.text += delta;
    this.#scored = [];
    return [this.#argumentsEvent('delta', this.#open, { delta })];
  }

  #endCall(open: OpenCall, status: ItemStatus): Ended {
    const { id, call, text } = open;
    return {
      events: [this.#argumentsEvent('done', open, { name: call.name, arguments: text })],
      item: callItem(id, status, call, text),
    };
  }

  #argumentsEvent(what: 'delta' | 'done', { id, call }: OpenCall, more: object): OutputEvent {
    const item_id = callItem(id, 'in_progress', call, '').id;
    const type = `response.function_call_arguments.${what}`;
    return { type, item_id, output_index: this.#items.length, ...more };
  }

  #itemEvent(what: 'added' | 'done', item: object): OutputEvent {
    return { type: `response.output_item.${what}`, output_index: this.#items.length, item };
  }

  #partEvent(type: string, { kind, id }: OpenText, more: object): OutputEvent {
    const { item, index } = this.#forms[kind];
    const item_id = item(id, 'in_progress', []).id;
    return { type, item_id, output_index: this.#items.length, [index]: 0, ...more };
  }
}
