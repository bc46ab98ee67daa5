import type { CallFormat, ChatInfo, EffortVariable } from '../engine.ts';
import { namesVariable } from './chat-template.ts';
import { probedCall, type ToolProbe } from './tool-probe.ts';

const { name, value } = probedCall;

/** How each family writes the call of the probe. */
const written: Readonly<Record<CallFormat, RegExp>> = {
  hermes: new RegExp(`<tool_call>\\s*\\{[^<]*${value}`),
  llama: new RegExp(`\\{"name": "${name}", "(?:parameters|arguments)": \\{[^}]*${value}`),
  gemma: new RegExp(`<start_function_call>call:${name}\\{[^}]*<escape>${value}<escape>`),
};

/** The family whose words a template has. */
const familyOf = (template: string): CallFormat | 'unknown' => {
  if (template.includes('<start_function_call>')) return 'gemma';
  // Qwen3-Coder and GLM have XML within the same marks.
  if (template.includes('<tool_call>')) return /<function=|<arg_key>/.test(template) ? 'unknown' : 'hermes';
  const isLlama = template.includes('ipython') || template.includes('<|python_tag|>');
  return isLlama && template.includes('"parameters"') ? 'llama' : 'unknown';
};

const has = (prompt: string | undefined): boolean =>
  prompt === undefined || (prompt.includes(name) && prompt.includes(value));

const formatOf = (template: string, { takesTools, told }: ToolProbe): ChatInfo['calls'] => {
  if (!takesTools) return 'none';
  const family = familyOf(template);
  // Others have the same words, and write calls in their own way.
  const isOther = family !== 'unknown' && told?.includes(value) === true && !written[family].test(told);
  return isOther ? 'unknown' : family;
};

const dropsOf = ({ told, untold }: ToolProbe): ChatInfo['dropsCalls'] => {
  if (!has(told)) return 'always';
  return has(untold) ? undefined : 'untold';
};

const effortVariables: readonly EffortVariable[] = ['reasoning_effort', 'enable_thinking'];

/**
 * What a chat template knows, by the words in it and by what it makes of a call: no file of a model says it. `template`: the one for
 * tools; `plain`: the one without, where it is another. An effort has to reach both.
 */
export const chatInfoOf = (template: string, probe: ToolProbe, plain = template): ChatInfo => {
  const calls = formatOf(template, probe);
  const dropsCalls = calls === 'none' ? undefined : dropsOf(probe);
  const effort = effortVariables.filter((variable) =>
    [template, plain].every((text) => namesVariable(text, variable)),
  );
  return {
    calls,
    // Llama's own words to who sends back several.
    parallel: !/single tool[- ]calls?/i.test(template),
    thinks: template.includes('</think>'),
    ...(dropsCalls === undefined ? {} : { dropsCalls }),
    ...(effort.length === 0 ? {} : { effort }),
  };
};
