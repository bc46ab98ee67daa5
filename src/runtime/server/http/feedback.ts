import type { Context } from 'hono';
import { AdaptletError, asAdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Caller } from '../../callers/caller.ts';
import type { Parts } from '../exchange.ts';
import { plainId, takeFeedback } from '../feedback.ts';
import { feedbackFields } from '../fields/feedback.ts';
import { reader } from '../fields/parse.ts';
import { askingOf, readJson } from './handler.ts';
import { problemBody } from './problem.ts';

/** Items of one list. */
export const maxBatch = 1_000;

const read = reader(feedbackFields);

/** `POST /v1/feedback`, of one answer or of a list of them: OpenAI has no such call. */
export const feedback =
  (parts: Parts) =>
  async (c: Context): Promise<Response> => {
    const { caller } = await askingOf(parts, c);
    const body = await readJson(c);
    return c.json(Array.isArray(body) ? all(parts, caller, body) : one(parts, caller, body));
  };

const one = (parts: Parts, caller: Caller, item: unknown): object => {
  const { id, reward } = read(item);
  const { rollout, arm, digest, replaced } = takeFeedback(parts, caller, id, reward);
  return { object: 'feedback', id: plainId(id), rollout, arm, digest, replaced };
};

/** Each item by itself, in their order: what is wrong with one is said in its place, and keeps none of the others out. */
const all = (parts: Parts, caller: Caller, items: readonly unknown[]): object => {
  if (items.length > maxBatch)
    throw new AdaptletError(
      'REQUEST_INVALID',
      `the list has ${items.length} items, at most ${maxBatch} are taken at a time`,
    );
  return { object: 'list', data: items.map((item) => taken(parts, caller, item)) };
};

const taken = (parts: Parts, caller: Caller, item: unknown): object => {
  try {
    return one(parts, caller, item);
  } catch (error) {
    const failure = asAdaptletError(error, '/v1/feedback');
    if (failure.code === 'INTERNAL') throw failure;
    return { object: 'feedback', id: idIn(item), ...problemBody(failure) };
  }
};

/** As it came, so that the caller finds the item by it. */
const idIn = (item: unknown): string | null =>
  typeof item === 'object' && item !== null && 'id' in item && typeof item.id === 'string' ? item.id : null;
