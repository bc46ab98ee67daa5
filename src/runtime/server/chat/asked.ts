import type { ChatInfo, Prompt } from '../../engine/engine.ts';
import type { Options } from '../options.ts';
import type { AnswerForm } from './answer-reader.ts';
import type { AskedTools } from './tools.ts';

/** What a request asks for, and how its answer is read. */
export type Asked = {
  readonly prompt: Prompt;
  readonly options: Options;
  readonly form: Omit<AnswerForm, 'id'>;
};

/**
 * The same options with what tools and thoughts need, and how the answer is read.
 * @throws REQUEST_UNSUPPORTED that names the field
 */
export const askedAnswer = (
  options: Options,
  tools: AskedTools | undefined,
  chat: ChatInfo | undefined,
): Pick<Asked, 'options' | 'form'> => {
  const structure = tools === undefined ? options.structure : tools.structure(options.structure);
  // What has a structure begins with it.
  const thinks = chat?.thinks === true && structure === undefined;
  return {
    options: { ...options, structure, marked: thinks || (tools !== undefined && structure === undefined) },
    form: { thinks, ...(tools === undefined ? {} : { calls: tools.reader, most: tools.most }) },
  };
};
