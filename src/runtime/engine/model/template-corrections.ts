/**
 * Where @huggingface/jinja 0.5 fails at what Python's Jinja takes, a chat template says the same in other words. It is about how Hermes 2
 * and 3, who took over their macro, and FunctionGemma describe parameters: in Python a key that is no text is just not found, and what
 * is missing is an empty text, list or object to a filter and to a loop.
 */
const corrections: readonly (readonly [from: string, to: string])[] = [
  [
    'basic_type_map[json_spec.type] is defined',
    'json_spec.type is string and basic_type_map[json_spec.type] is defined',
  ],
  ['json_spec.type is iterable', '(json_spec.type is undefined or json_spec.type is iterable)'],
  ['for t in json_spec.type %}', 'for t in json_spec.type | default([]) %}'],
  ['param_fields.description|trim', "param_fields.description | default('') | trim"],
  ['tool.parameters.properties|items', 'tool.parameters.properties | default({}) | items'],
  ["value['type'] | upper", "value['type'] | default('') | upper"],
  ['tool.parameters.properties | length', 'tool.parameters.properties | default({}) | length'],
];

/** A chat template that gives in the package what it gives in transformers. */
export const correctedTemplate = (text: string): string =>
  corrections.reduce((corrected, [from, to]) => corrected.replaceAll(from, to), text);
