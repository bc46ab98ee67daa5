import type { Context } from 'hono';
import { readHeaders } from '../context.ts';
import type { Parts } from '../exchange.ts';
import { plainId, takeFeedback } from '../feedback.ts';
import { feedbackFields } from '../fields/feedback.ts';
import { reader } from '../fields/parse.ts';
import { callerOf } from './connection.ts';
import { readJson } from './handler.ts';

const read = reader(feedbackFields);

/** `POST /v1/feedback`: OpenAI has no such call. */
export const feedback =
  (parts: Parts) =>
  async (c: Context): Promise<Response> => {
    const caller = await callerOf(parts, c, readHeaders(c.req.raw.headers.entries()));
    const { id, reward } = read(await readJson(c));
    const { rollout, arm, digest, replaced } = takeFeedback(parts, caller, id, reward);
    return c.json({ object: 'feedback', id: plainId(id), rollout, arm, digest, replaced });
  };
