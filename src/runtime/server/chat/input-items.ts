import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';
import type { ChatInfo, ChatMessage, MadeCall } from '../../engine/engine.ts';
import { FieldError, wrong } from '../fields/field-error.ts';
import type { InputItem as Item } from '../fields/responses.ts';
import type { ResponseBody } from '../http/response-body.ts';
import { MadeCalls } from './made-calls.ts';

type Content = NonNullable<Item['content']>;

/** The item of an earlier answer that has this id; undefined: it is not known. */
export type ItemOf = (id: string) => Item | undefined;

/** Fields of an item that not all kinds of it have. */
const own = ['id', 'role', 'content', 'summary', 'call_id', 'name', 'arguments', 'output'] as const;
type Own = (typeof own)[number];

const kinds: Readonly<
  Record<NonNullable<Item['type']>, { readonly needs: readonly Own[]; readonly may: readonly Own[] }>
> = {
  message: { needs: ['role', 'content'], may: ['id'] },
  function_call: { needs: ['call_id', 'name', 'arguments'], may: ['id'] },
  function_call_output: { needs: ['call_id', 'output'], may: ['id', 'name'] },
  reasoning: { needs: [], may: ['id', 'content', 'summary'] },
  item_reference: { needs: ['id'], may: [] },
};

/** @throws REQUEST_INVALID */
const checkFields = (item: Item, path: string): void => {
  const type = item.type ?? 'message';
  const { needs, may } = kinds[type];
  for (const name of own) {
    const has = item[name] !== undefined && item[name] !== null;
    if (needs.includes(name) && !has) throw wrong(`${path}.${name}`, `is missing from a ${type}`);
    if (has && !needs.includes(name) && !may.includes(name))
      throw wrong(`${path}.${name}`, `belongs to no ${type}`);
  }
};

const textOf = (content: Content | null | undefined): string => {
  if (content === undefined || content === null || typeof content === 'string') return content ?? '';
  return content.map(({ text }) => text).join('');
};

const thoughtsOf = ({ content, summary }: Item): string => {
  const text = textOf(content);
  return text === '' ? (summary ?? []).map((part) => part.text).join('\n\n') : text;
};

/** Thoughts, a text and calls of an assistant that follow each other are one message of a chat. */
type Turn = { reasoning: string; content: string | undefined; readonly calls: MadeCall[] };

/** Items are read in their order. */
class Items {
  readonly #messages: ChatMessage[] = [];
  readonly #made: MadeCalls;
  readonly #itemOf: ItemOf;
  /** Of items that were referred to. */
  readonly #ids = new Set<string>();
  #turn: Turn | undefined;

  constructor(made: MadeCalls, itemOf: ItemOf) {
    this.#made = made;
    this.#itemOf = itemOf;
  }

  add(item: Item, path: string): void {
    checkFields(item, path);
    const { role, content, call_id: id, name, output } = item;
    switch (item.type ?? 'message') {
      case 'item_reference':
        this.add(this.#referred(item.id ?? '', path), path);
        return;
      case 'reasoning':
        this.#assistant(true).reasoning += thoughtsOf(item);
        return;
      case 'function_call':
        this.#call(item, path);
        return;
      case 'function_call_output':
        this.#push({
          role: 'tool',
          content: textOf(output),
          answers: this.#made.answered(
            { id, name },
            { answer: `${path}.type`, id: `${path}.call_id`, name: `${path}.name` },
          ),
        });
        return;
      case 'message':
        // As in a chat: templates know no developer.
        if (role === 'assistant') this.#assistant(true).content = textOf(content);
        else this.#push({ role: role === 'developer' ? 'system' : (role ?? ''), content: textOf(content) });
    }
  }

  end(): readonly ChatMessage[] {
    this.#endTurn();
    return this.#messages;
  }

  /** Each once, as with OpenAI: what a request may have in memory is bounded by what a body may have, and by what is kept. */
  #referred(id: string, path: string): Item {
    if (this.#ids.has(id)) throw wrong(`${path}.id`, 'is that of another reference of the request');
    this.#ids.add(id);
    const item = this.#itemOf(id);
    if (item !== undefined) return item;
    throw new FieldError(
      'ITEM_NOT_FOUND',
      `${path}: item with id ${quoteUntrusted(id)} not found`,
      `${path}.id`,
    );
  }

  #call({ call_id: id, name, arguments: text }: Item, path: string): void {
    const call = { id: id ?? '', name: name ?? '', arguments: text ?? '' };
    this.#assistant(false).calls.push(
      this.#made.made(call, { call: `${path}.type`, arguments: `${path}.arguments` }),
    );
  }

  /** The present turn of the assistant. `before`: what comes stands before its text and calls, so that it must have none. */
  #assistant(before: boolean): Turn {
    if (
      before &&
      this.#turn !== undefined &&
      (this.#turn.content !== undefined || this.#turn.calls.length > 0)
    )
      this.#endTurn();
    this.#turn ??= { reasoning: '', content: undefined, calls: [] };
    return this.#turn;
  }

  #push(message: ChatMessage): void {
    this.#endTurn();
    this.#messages.push(message);
  }

  #endTurn(): void {
    if (this.#turn === undefined) return;
    const { reasoning, content = '', calls } = this.#turn;
    this.#turn = undefined;
    this.#messages.push({
      role: 'assistant',
      ...this.#made.turn(content, calls),
      ...(reasoning === '' ? {} : { reasoning }),
    });
  }
}

/**
 * The conversation of a response: its instructions are the first message of the system. `told`: the prompt tells of tools.
 * @throws REQUEST_INVALID, REQUEST_UNSUPPORTED, ITEM_NOT_FOUND; all name the field
 */
export const messagesOfInput = (
  { instructions, input }: Pick<ResponseBody, 'instructions' | 'input'>,
  chat: ChatInfo | undefined,
  told: boolean,
  itemOf: ItemOf,
): readonly ChatMessage[] => {
  if (input.length === 0 && typeof input !== 'string') throw wrong('input', 'is empty');
  const items = typeof input === 'string' ? [{ role: 'user' as const, content: input }] : input;
  const read = new Items(new MadeCalls(chat, told), itemOf);
  for (const [index, item] of items.entries()) read.add(item, `input.${index}`);
  const system = instructions ?? '';
  return [...(system === '' ? [] : [{ role: 'system', content: system }]), ...read.end()];
};
