import { expect, it } from 'vitest';
import type { ChatInfo } from '../engine.ts';
import { chatInfoOf } from './chat-format.ts';
import { probedCall } from './tool-probe.ts';

/** What tells the templates of families apart, in their own words. */
it.each<[string, string, ChatInfo, boolean?]>([
  [
    'Qwen 2.5',
    `{%- if tools %}For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>\\n{"name": <function-name>, "arguments": <args-json-object>}\\n</tool_call>{%- endif %}`,
    { calls: 'hermes', parallel: true, thinks: false },
  ],
  [
    'Qwen 3',
    `{%- if tools %}<tool_call></tool_call>{%- endif %}{%- if '</think>' in content %}{%- endif %}{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}`,
    { calls: 'hermes', parallel: true, thinks: true, effort: ['enable_thinking'] },
  ],
  [
    'gpt-oss',
    '{%- if reasoning_effort is not defined %}{%- set reasoning_effort = "medium" %}{%- endif %}{{- "Reasoning: " + reasoning_effort }}{{ my_enable_thinking }}',
    { calls: 'unknown', parallel: true, thinks: false, effort: ['reasoning_effort'] },
  ],
  [
    'Qwen 3 Coder',
    '{%- if tools %}<tool_call>\n<function=example_function_name>\n<parameter=x>{%- endif %}',
    { calls: 'unknown', parallel: true, thinks: false },
  ],
  [
    'GLM 4.5',
    '{%- if tools %}<tool_call>{function-name}\n<arg_key>{arg-key-1}</arg_key>{%- endif %}',
    { calls: 'unknown', parallel: true, thinks: false },
  ],
  [
    'Llama 3',
    `{%- if tools is not none %}{{- 'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.' }}{{- "Environment: ipython" }}{{- raise_exception("This model only supports single tool-calls at once!") }}`,
    { calls: 'llama', parallel: false, thinks: false },
  ],
  [
    'FunctionGemma',
    "{%- if tools %}{{- '<start_function_declaration>' }}{{- '<start_function_call>call:' -}}{%- endif %}",
    { calls: 'gemma', parallel: true, thinks: false },
  ],
  [
    'Mistral',
    '{%- if tools %}[AVAILABLE_TOOLS] [TOOL_CALLS]',
    { calls: 'unknown', parallel: true, thinks: false },
  ],
  [
    'SmolLM 2',
    "{{'<|im_start|>' + message['role']}}",
    { calls: 'none', parallel: true, thinks: false },
    false,
  ],
  [
    'tools that do not reach the prompt',
    '<tools></tools> <tool_call>',
    { calls: 'none', parallel: true, thinks: false },
    false,
  ],
])('%s', (_, template, info, takesTools = true) => {
  expect(chatInfoOf(template, { takesTools, told: undefined, untold: undefined })).toEqual(info);
});

const { name, value } = probedCall;

it.each<[string, string, string, ChatInfo['calls']]>([
  ['Hermes', '<tool_call>', `<tool_call>\n{"name": "${name}", "arguments": {"x": "${value}"}}`, 'hermes'],
  ['Hermes 2', '<tool_call>', `<tool_call>\n{ "arguments": {"x": "${value}"}, "name": "${name}"}`, 'hermes'],
  ['a list', '<tool_call>', `<tool_call>[{"name": "${name}", "arguments": {"x": "${value}"}}]`, 'unknown'],
  ['a name before it', '<tool_call>', `<tool_call>${name}\n{"x": "${value}"}</tool_call>`, 'unknown'],
  ['Llama 3', 'ipython "parameters"', `{"name": "${name}", "parameters": {"x": "${value}"}}`, 'llama'],
  ['Python', 'ipython "parameters"', `[${name}(x="${value}")]`, 'unknown'],
  [
    'FunctionGemma',
    '<start_function_call>',
    `<start_function_call>call:${name}{x:<escape>${value}<escape>}`,
    'gemma',
  ],
  [
    'JSON between its marks',
    '<start_function_call>',
    `<start_function_call>{"name": "${name}", "x": "${value}"}`,
    'unknown',
  ],
])('a call that is written as by %s', (_, template, told, calls) => {
  expect(chatInfoOf(template, { takesTools: true, told, untold: undefined }).calls).toBe(calls);
});

it.each<[string, string | undefined, string | undefined, ChatInfo['dropsCalls']]>([
  ['has', `${name} ${value}`, `${name} ${value}`, undefined],
  ['refuses', undefined, undefined, undefined],
  ['has with tools alone', `${name} ${value}`, 'x', 'untold'],
  ['does not have', 'x', 'x', 'always'],
  ['has without their arguments', name, name, 'always'],
])('calls of former turns that a template %s', (_, told, untold, dropsCalls) => {
  expect(chatInfoOf('<tool_call>', { takesTools: true, told, untold }).dropsCalls).toBe(dropsCalls);
});

it('reads an effort where both templates do', () => {
  const probe = { takesTools: true, told: undefined, untold: undefined };
  const [reads, other] = ['{{ enable_thinking }}{{ reasoning_effort }}', '{{ reasoning_effort }}'];
  expect(chatInfoOf(reads, probe, other).effort).toEqual(['reasoning_effort']);
  expect(chatInfoOf(other, probe, reads).effort).toEqual(['reasoning_effort']);
  expect(chatInfoOf(reads, probe, 'none')).not.toHaveProperty('effort');
});
