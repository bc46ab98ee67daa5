import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { AdaptletError, asAdaptletError } from '../../../errors/adaptlet-error.ts';
import { askedNamespace, readHeaders, requestContext } from '../context.ts';
import type { Parts } from '../exchange.ts';
import { chatPrompt, completionPrompt, readChat, readCompletion } from './bodies.ts';
import { completions } from './completions.ts';
import { callerOf } from './connection.ts';
import { classify, embeddings } from './encode.ts';
import { feedback } from './feedback.ts';
import type { Asking } from './handler.ts';
import { addHealth, addMetrics } from './health.ts';
import { problemResponse } from './problem.ts';
import { chatShape, completionShape, modelObject } from './shapes.ts';

/** Bytes of a request's body. */
export const maxBodyBytes = 4 << 20;

export type AppParts = Parts & {
  /** /metrics is here, too. */
  readonly hasMetrics: boolean;
};

/** The data plane on HTTP: OpenAI's API and probes. Needs no socket: `app.request()` answers. */
export const createHttpApp = (parts: AppParts): Hono => {
  const { serving } = parts;
  const app = new Hono();

  const limit = bodyLimit({
    maxSize: maxBodyBytes,
    onError: () =>
      problemResponse(new AdaptletError('REQUEST_TOO_LARGE', `the body has more than ${maxBodyBytes} bytes`)),
  });
  const asking = async (c: Context): Promise<Asking> => {
    const headers = readHeaders(c.req.raw.headers.entries());
    return { headers, caller: await callerOf(parts, c, headers) };
  };

  // Defaults are OpenAI's own: a chat without a limit ends with the room for it.
  app.post(
    '/v1/completions',
    limit,
    completions(parts, {
      shape: completionShape,
      read: readCompletion,
      prompt: completionPrompt,
      defaults: { maxTokens: 16, temperature: 1 },
    }),
  );
  app.post(
    '/v1/chat/completions',
    limit,
    completions(parts, {
      shape: chatShape,
      read: readChat,
      prompt: chatPrompt,
      defaults: { maxTokens: Infinity, temperature: 1 },
    }),
  );
  app.post('/v1/embeddings', limit, embeddings(parts));
  app.post('/v1/classify', limit, classify(parts));
  app.post('/v1/feedback', limit, feedback(parts));
  app.get('/v1/models', async (c) => {
    const { headers, caller } = await asking(c);
    return c.json({
      object: 'list',
      data: serving.models(askedNamespace(headers, caller)).map(modelObject),
    });
  });
  // Names have slashes (namespace/name) and colons (adapter:x).
  app.get('/v1/models/:id{.+}', async (c) => {
    const { headers, caller } = await asking(c);
    const { namespace, model } = requestContext(headers, { model: c.req.param('id') }, caller);
    return c.json(modelObject(serving.model(namespace, model)));
  });

  addHealth(app, parts);
  if (parts.hasMetrics) addMetrics(app, parts);

  app.notFound((c) => {
    const message = `There is nothing at ${c.req.method} ${c.req.path}.`;
    const error = { message, type: 'invalid_request_error', param: null, code: 'not_found' };
    return c.json({ error }, 404);
  });
  app.onError((error, c) => {
    const failure = c.req.raw.signal.aborted
      ? new AdaptletError('REQUEST_CANCELLED', `the caller of ${c.req.path} went away`, { cause: error })
      : asAdaptletError(error, 'http');
    if (failure.code === 'INTERNAL') parts.log.error({ err: failure }, 'http request failed');
    return problemResponse(failure);
  });
  return app;
};
