import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ChatTemplate, openChatTemplate } from '../../src/runtime/engine/model/chat-template.ts';
import { readTokenizerConfig } from '../../src/runtime/engine/model/tokenizer-config.ts';
import { modelsFolder } from '../support/models.ts';
import { tinyFolder } from './support/tiny.ts';
import { folderOf, openedTokenizers, templates } from './support/tokenizers.ts';

const tiny = folderOf(join(tinyFolder, 'model'));
const conversations = templates.conversations.map((messages, index) => ({ index, messages }));

/** The prompt, or what the template says against it. */
const outcome = (template: ChatTemplate, ...args: Parameters<ChatTemplate>): unknown => {
  try {
    return template(...args);
  } catch (error) {
    expect(error).toMatchObject({ code: 'REQUEST_INVALID' });
    return { refused: ((error as Error).cause as Error).message };
  }
};

const present = new Set(openedTokenizers().map(({ name }) => name));
const models = [
  { name: 'tiny', folder: tiny },
  { name: 'smollm2', folder: folderOf(join(modelsFolder(), 'smollm2-135m')) },
].filter(({ name }) => present.has(name));

describe.each(models)('the chat template of $name', ({ name, folder }) => {
  const template = openChatTemplate(folder, readTokenizerConfig(folder));

  it.each(conversations)('renders conversation $index as transformers does', ({ index, messages }) => {
    const expected = templates.models[name]![index]!;
    expect(outcome(template, messages)).toEqual(expected.with);
    expect(outcome(template, messages, false)).toEqual(expected.without);
  });
});

describe.each(Object.keys(templates.templates))('a template with %s', (name) => {
  const config = { ...readTokenizerConfig(tiny), chat_template: templates.templates[name] };
  const template = openChatTemplate(tiny, config);

  it.each(conversations)('renders conversation $index as transformers does', ({ index, messages }) => {
    const [withPrompt, without] = templates.rendered[name]![index]!;
    expect(outcome(template, messages)).toEqual(withPrompt);
    expect(outcome(template, messages, false)).toEqual(without);
  });
});
