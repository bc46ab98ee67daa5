import type { Context } from 'hono';
import { z } from 'zod';
import type { Parts } from '../exchange.ts';
import { plainId, takeFeedback } from '../feedback.ts';
import { readJson } from './handler.ts';
import { parseBody } from './schemas.ts';

const schema = z.object({ id: z.string(), reward: z.number() });

/** `POST /v1/feedback`: OpenAI has no such call. */
export const feedback =
  (parts: Parts) =>
  async (c: Context): Promise<Response> => {
    const { id, reward } = parseBody(schema, await readJson(c));
    const { rollout, arm, digest, replaced } = takeFeedback(parts, id, reward);
    return c.json({ object: 'feedback', id: plainId(id), rollout, arm, digest, replaced });
  };
