import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RealModel } from './models.ts';

/** A held-out row of the task that the json-extract adapters were trained for. */
export type ExtractRow = { readonly prompt: string; readonly expected: string };

export const extractRows = (model: RealModel): readonly ExtractRow[] =>
  readFileSync(join(model.eval, 'json-extract.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as ExtractRow);

/** Of names and places; those of the task have 8 at most. */
const mostCharacters = 32;
/** A text without an end would go on until `max_tokens` where a model repeats itself, as json-extract-v2 does in one row. */
const shortText = { type: 'string', maxLength: mostCharacters };

/** What each answer has to be. */
export const extractSchema = {
  type: 'object',
  properties: { customer: shortText, item: shortText, quantity: { type: 'integer' }, city: shortText },
  required: ['customer', 'item', 'quantity', 'city'],
  additionalProperties: false,
};

/** Tokens that an answer may have: the longest one needs fewer. */
export const extractTokens = 64;

/** True for JSON that is valid by {@link extractSchema}. */
export const isExtract = (text: string): boolean => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
  if (typeof value !== 'object' || value === null) return false;
  const { customer, item, quantity, city, ...more } = value as Record<string, unknown>;
  return (
    [customer, item, city].every((one) => typeof one === 'string' && one.length <= mostCharacters) &&
    Number.isInteger(quantity) &&
    Object.keys(more).length === 0
  );
};
