import type { ChatInfo, ChatMessage, MadeCall } from '../../engine/engine.ts';
import { FieldError, wrong } from '../fields/field-error.ts';
import { noCounts, shapeReader } from '../http/json.ts';
import { formatOf } from './formats.ts';
import { JsonObject } from './json-object.ts';
import { maxNesting, nestsTooDeep } from './nesting.ts';

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
};

/** Some clients write no arguments as an empty text. */
const writtenOf = (text: string): string => (text.trim() === '' ? '{}' : text);

const isObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Arguments with what is written around them. Broken ones mostly have the bracket behind them already: all up to the mark is theirs. */
const wrapped = (before: string, written: string, after: string): string => {
  const object = new JsonObject();
  let step = object.next(written, 0);
  while (step.kind === 'begins' || step.kind === 'ends') step = object.next(written, step.at);
  const own = written.trimEnd();
  const isEnded = step.kind !== 'whole' && own.endsWith('}}');
  return before + (isEnded ? own + after.slice(1) : written + after);
};

/** Calls of a conversation that is read in its order: what a tool answers was called before. `params`: names of fields, for errors. */
export class MadeCalls {
  /** Names of the tools that were called so far, by the id of the call. */
  readonly #names = new Map<string, string>();
  readonly #chat: ChatInfo | undefined;
  /** Calls do not reach the prompt by themselves. */
  readonly #isDropped: boolean;
  /**
   * Calls whose arguments no chat template can write, as they are no JSON or nest too deep: models write such, and answers are cut within
   * them.
   */
  readonly #broken = new Set<MadeCall>();
  /** Of all arguments. */
  readonly #counts = noCounts();

  /** `told`: the prompt tells of tools. */
  constructor(chat: ChatInfo | undefined, told: boolean) {
    this.#chat = chat;
    this.#isDropped = chat?.dropsCalls === 'always' || (chat?.dropsCalls === 'untold' && !told);
  }

  /** What the chat template gets of a turn: calls that it leaves out, or cannot write, are said in the text, as the model writes them. */
  turn(content: string, calls: readonly MadeCall[]): Pick<ChatMessage, 'content' | 'calls'> {
    const isSaid = this.#isDropped || calls.some((call) => this.#broken.has(call));
    const format = isSaid ? formatOf(this.#chat) : undefined;
    if (format === undefined || calls.length === 0)
      return calls.length === 0 ? { content } : { content, calls };
    const { before, after, between } = format.forced;
    const written = calls.map((call) => wrapped(before(call.name), call.arguments, after)).join(between);
    return { content: content === '' ? written : `${content}\n${written}` };
  }

  /** @throws REQUEST_INVALID, REQUEST_UNSUPPORTED */
  made(call: MadeCall, params: { readonly call: string; readonly arguments: string }): MadeCall {
    this.#needTools(params.call);
    const deny = (why: string): never => {
      throw wrong(params.arguments, why);
    };
    const isKnown = formatOf(this.#chat) !== undefined;
    shapeReader(deny, this.#counts, isKnown ? Infinity : maxNesting)(Buffer.from(call.arguments));
    this.#names.set(call.id, call.name);
    const made = { ...call, arguments: writtenOf(call.arguments) };
    const value = parsed(made.arguments);
    if (!isObject(value) && (value !== undefined || !isKnown)) deny('must be a JSON object, as text');
    if (value === undefined || nestsTooDeep(value)) this.#broken.add(made);
    return made;
  }

  /** The call that a tool answers. `name`: of the tool, which some clients give beside the id. @throws as {@link made} */
  answered(
    { id, name }: { readonly id: string | null | undefined; readonly name: string | null | undefined },
    params: { readonly answer: string; readonly id: string; readonly name: string },
  ): NonNullable<ChatMessage['answers']> {
    if (id === undefined || id === null)
      throw wrong(params.id, 'must be the id of the call that is answered');
    this.#needTools(params.answer);
    const called = this.#names.get(id);
    if (called === undefined) throw wrong(params.id, 'is of no call before it');
    if ((name ?? called) !== called) throw wrong(params.name, `is not ${called}, which was called`);
    return { id, name: called };
  }

  #needTools(param: string): void {
    const calls = this.#chat?.calls ?? 'none';
    const isLost = this.#isDropped && formatOf(this.#chat) === undefined;
    if (calls !== 'none' && !isLost) return;
    const knows = calls === 'none' ? 'knows no tools' : 'leaves calls out';
    const what = `${param} is not supported: the base model's chat template ${knows}`;
    throw new FieldError('REQUEST_UNSUPPORTED', what, param, {
      advice: 'Leave calls and their answers out.',
    });
  }
}
