import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { AdaptletError, asAdaptletError } from '../../../errors/adaptlet-error.ts';
import { readHeaders, requestContext } from '../context.ts';
import type { Parts } from '../exchange.ts';
import { chatPrompt, completionPrompt, readChat, readCompletion } from './bodies.ts';
import { completions } from './completions.ts';
import { classify, embeddings } from './encode.ts';
import { feedback } from './feedback.ts';
import { addHealth } from './health.ts';
import { problemResponse } from './problem.ts';
import { chatShape, completionShape, modelObject } from './shapes.ts';

/** Bytes of a request's body. */
export const maxBodyBytes = 4 << 20;

/** The data plane on HTTP: OpenAI's API, probes and metrics. Needs no socket: `app.request()` answers. */
export const createHttpApp = (parts: Parts): Hono => {
  const { serving } = parts;
  const app = new Hono();

  const limit = bodyLimit({
    maxSize: maxBodyBytes,
    onError: () =>
      problemResponse(new AdaptletError('REQUEST_TOO_LARGE', `the body has more than ${maxBodyBytes} bytes`)),
  });
  const namespaceOf = (raw: Request): string =>
    requestContext(readHeaders(raw.headers.entries()), { model: 'any' }, parts.defaultNamespace).namespace;

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
  app.get('/v1/models', (c) =>
    c.json({ object: 'list', data: serving.models(namespaceOf(c.req.raw)).map(modelObject) }),
  );
  // Names have slashes (namespace/name) and colons (adapter:x).
  app.get('/v1/models/:id{.+}', (c) =>
    c.json(modelObject(serving.model(namespaceOf(c.req.raw), c.req.param('id')))),
  );

  addHealth(app, parts);

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
