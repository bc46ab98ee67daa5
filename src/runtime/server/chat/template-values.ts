import type { ChatInfo, Prompt } from '../../engine/engine.ts';
import { FieldError } from '../fields/field-error.ts';
import type { ChatBody } from '../http/bodies.ts';

type Values = NonNullable<Extract<Prompt, { kind: 'chat' }>['values']>;
type Asked = {
  readonly given: ChatBody['chat_template_kwargs'];
  readonly effort: ChatBody['reasoning_effort'];
};

/** As vLLM does. @throws REQUEST_UNSUPPORTED where the chat template reads nothing of it */
const valuesOfEffort = (
  effort: NonNullable<Asked['effort']>,
  chat: ChatInfo | undefined,
  param: string,
): Values => {
  const all = { reasoning_effort: effort, enable_thinking: effort !== 'none' };
  const { effort: read = [], thinks = false } = chat ?? {};
  const isDone = effort === 'none' && !thinks;
  if (read.length > 0 || isDone) return Object.fromEntries(read.map((name) => [name, all[name]]));
  const what = `${param} is not supported: the chat template of the base model has no variable for it`;
  const advice = thinks ? 'Leave it out.' : 'Leave it out, or give "none".';
  throw new FieldError('REQUEST_UNSUPPORTED', what, param, { advice });
};

/**
 * Variables of the chat template: those that a request gives, and those that say how much is thought. `param`: the field of the effort.
 * @throws REQUEST_INVALID, REQUEST_UNSUPPORTED; both name the field
 */
export const templateValues = (
  { given, effort }: Asked,
  chat: ChatInfo | undefined,
  param: string,
): { readonly values?: Values } => {
  if (effort === undefined || effort === null)
    return given === undefined || given === null ? {} : { values: given };
  const said = valuesOfEffort(effort, chat, param);
  for (const [name, value] of Object.entries(said)) {
    if (given?.[name] === undefined || given[name] === value) continue;
    const what = `${param} is ${effort}, and chat_template_kwargs.${name} says otherwise`;
    throw new FieldError('REQUEST_INVALID', what, param, { advice: 'Give one of them.' });
  }
  return { values: { ...given, ...said } };
};
