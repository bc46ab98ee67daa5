import type { ChatInfo } from '../../engine/engine.ts';

/*
 * Our own chat templates, each of which says in few lines how the templates of a family tell of tools and write calls. Turns are
 * marked alike in all of them.
 */

/** A conversation. `calls`: how an assistant's are written. */
const turns = (calls: string): string =>
  `{% for message in messages %}<|{{ message.role }}|>{{ message.content }}${calls}<|end|>{% endfor %}` +
  '{% if add_generation_prompt %}<|assistant|>{% endif %}';

const each = (call: string): string => `{% for call in message.tool_calls or [] %}${call}{% endfor %}`;

const taught = '<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>';
const marked = each(
  '{{- \'\\n<tool_call>\\n{"name": "\' + call.function.name + \'", "arguments": \' }}' +
    "{{- call.function.arguments | tojson }}{{- '}\\n</tool_call>' }}",
);
const listed = '{% for tool in tools %}{{ tool | tojson }}{% endfor %}';

/** How Hermes 2 and 3 describe parameters. */
const pythonType =
  "{% macro json_to_python_type(json_spec) %}{% set basic_type_map = {'string': 'str', 'integer': 'int'} %}" +
  '{% if basic_type_map[json_spec.type] is defined %}{{ basic_type_map[json_spec.type] }}' +
  '{% elif json_spec.type == "array" %}{{ "list[" + json_to_python_type(json_spec|items) + "]" }}' +
  '{% elif json_spec.type == "object" %}{% if json_spec.additionalProperties is defined %}' +
  '{{ "dict[str, " + json_to_python_type(json_spec.additionalProperties) + "]" }}{% else %}dict{% endif %}' +
  '{% elif json_spec.type is iterable %}Union[{% for t in json_spec.type %}' +
  '{{ json_to_python_type({"type": t}) }}{% if not loop.last %},{% endif %}{% endfor %}]' +
  '{% else %}Any{% endif %}{% endmacro %}';
const described =
  '{% for tool in tools %}{% set tool = tool.function %}{{ tool.name }}(' +
  '{% for param_name, param_fields in tool.parameters.properties|items %}' +
  '{{ param_name + ": " + json_to_python_type(param_fields) }}{% if not loop.last %}, {% endif %}{% endfor %})' +
  '{% for param_name, param_fields in tool.parameters.properties|items %}' +
  '{{ " " + param_name + "(" + json_to_python_type(param_fields) + "): " + param_fields.description|trim }}{% endfor %}' +
  "{% if tool.parameters.properties | length == 0 %} {}{% endif %}{{ '\\n' }}{% endfor %}";

const escaped =
  "{% macro written(of) %}{% if of is string %}{{ '<escape>' + of + '<escape>' }}" +
  "{% elif of is boolean %}{{ 'true' if of else 'false' }}{% elif of is mapping %}{{ members(of) }}" +
  "{% elif of is sequence %}[{% for item in of %}{{ written(item) }}{{ ',' if not loop.last else '' }}{% endfor %}]" +
  '{% else %}{{ of }}{% endif %}{% endmacro %}' +
  "{% macro members(of) %}{{ '{' }}{% for key, item in of | dictsort %}" +
  "{{ key }}:{{ written(item) }}{{ ',' if not loop.last else '' }}{% endfor %}{{ '}' }}{% endmacro %}";

type Family = {
  readonly family: string;
  /** As `chat_template` of a tokenizer_config.json. */
  readonly template: string | readonly { readonly name: string; readonly template: string }[];
  readonly info: ChatInfo;
};

const hermes: ChatInfo = { calls: 'hermes', parallel: true, thinks: false };
const unknown: ChatInfo = { ...hermes, calls: 'unknown' };

/** Whose tools are served. */
export const servedFamilies: readonly Family[] = [
  {
    family: 'Qwen 2.5 and 3, Granite 4',
    template: `{% if tools %}<|system|>${listed}${taught}<|end|>{% endif %}${turns(marked)}`,
    info: hermes,
  },
  {
    family: 'SmolLM3, which leaves calls out',
    template:
      '{% if xml_tools %}<|system|>{% for tool in xml_tools[:] %}{{ tool | string }}{% endfor %}' +
      `${taught}<|end|>{% endif %}${turns('')}{# <think></think> #}`,
    info: { ...hermes, thinks: true, dropsCalls: 'always' },
  },
  {
    family: 'Hermes 2 and 3, with a template of its own for tools',
    template: [
      { name: 'default', template: turns('') },
      { name: 'tool_use', template: `${pythonType}<|system|>${described}${taught}<|end|>${turns(marked)}` },
    ],
    info: { ...hermes, dropsCalls: 'untold' },
  },
  {
    family: 'Llama 3.1 to 3.3',
    template:
      '{% if tools is not none %}<|system|>Environment: ipython {% for t in tools %}{{ t | tojson(indent=4) }}{% endfor %}' +
      'Write {"name": function name, "parameters": dictionary of argument name and its value}.<|end|>{% endif %}' +
      turns(
        "{% if 'tool_calls' in message %}{% if not message.tool_calls|length == 1 %}" +
          '{{ raise_exception("This model only supports single tool-calls at once!") }}{% endif %}' +
          '{% set call = message.tool_calls[0].function %}{{ \'{"name": "\' + call.name + \'", "parameters": \' }}' +
          "{{ call.arguments | tojson }}{{ '}' }}{% endif %}",
      ),
    info: { calls: 'llama', parallel: false, thinks: false },
  },
  {
    family: 'FunctionGemma',
    template:
      `${escaped}{% for tool in tools or [] %}<start_function_declaration>{{ tool.function.name }}` +
      "{% for key, value in tool.function.parameters.properties | dictsort %} {{ key }}:{{ value['type'] | upper }}{% endfor %}{% endfor %}" +
      turns(
        each(
          '<start_function_call>call:{{ call.function.name }}{{ members(call.function.arguments) }}<end_function_call>',
        ),
      ),
    info: { calls: 'gemma', parallel: true, thinks: false },
  },
];

const takesTools = (teaching: string, calls: string): string =>
  `{% if tools %}<|system|>${listed}${teaching}<|end|>{% endif %}${turns(calls)}`;

/** Whose tools are refused. */
export const refusedFamilies: readonly Family[] = [
  {
    family: 'Granite 3, which leaves calls out',
    template: takesTools('Write <|tool_call|> and a list.', ''),
    info: { ...unknown, dropsCalls: 'always' },
  },
  {
    family: 'Qwen3-Coder',
    template: takesTools(
      '<tool_call>\n<function=name>',
      each('<tool_call>\n<function={{ call.function.name }}>{{ call.function.arguments.x }}'),
    ),
    info: unknown,
  },
  {
    family: 'a list between the marks of Hermes',
    template: takesTools(
      '<tool_call>',
      '<tool_call>[{% for call in message.tool_calls or [] %}{{ call.function | tojson }}{% endfor %}]</tool_call>',
    ),
    info: unknown,
  },
  {
    family: 'Mistral',
    template: takesTools(
      '',
      '{% if message.tool_calls %}[TOOL_CALLS][{{ message.tool_calls[0].function | tojson }}]{% endif %}',
    ),
    info: unknown,
  },
  {
    family: 'Python, as of Llama 3.2 and Gemma 3',
    template: takesTools(
      'Environment: ipython',
      each('[{{ call.function.name }}(x={{ call.function.arguments.x | tojson }})]'),
    ),
    info: unknown,
  },
  {
    family: 'Phi 4 mini, which has tools in a message of the system',
    template: turns(
      "{% if message.role == 'system' and message.tools %}<|tool|>{{ message.tools }}<|/tool|>{% endif %}",
    ),
    info: { ...hermes, calls: 'none' },
  },
  {
    family: 'Gemma 3',
    template: turns(''),
    info: { ...hermes, calls: 'none' },
  },
];
