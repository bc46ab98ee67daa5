/** A tool that tests have called. */
export const weather = {
  name: 'get_weather',
  description: 'How warm it is in a city',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
} as const;

/** A call of it, as models of the Hermes family write one. */
export const weatherCall = (city: string): string =>
  `<tool_call>\n{"name": "get_weather", "arguments": {"city": "${city}"}}\n</tool_call>`;
