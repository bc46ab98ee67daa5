import { Hono } from 'hono';
import { askChat } from '../chat/ask-chat.ts';
import { askedNamespace, requestContext } from '../context.ts';
import type { OipParts } from '../oip/oip.ts';
import { returnCallersId } from './answer-headers.ts';
import { askCompletion, readChat, readCompletion } from './bodies.ts';
import { limitedBodies } from './body.ts';
import { completions } from './completions.ts';
import { classify, embeddings } from './encode.ts';
import { feedback } from './feedback.ts';
import { askingOf, failed } from './handler.ts';
import { addHealth, addMetrics } from './health.ts';
import { endUnfinished } from './linger.ts';
import { loadLora, unloadLora } from './lora.ts';
import { createOipApp } from './oip.ts';
import { responses } from './responses.ts';
import { chatShape, completionShape, modelObject } from './shapes.ts';

export type AppParts = OipParts & {
  /** /metrics is here, too. */
  readonly hasMetrics: boolean;
};

/** The data plane on HTTP: OpenAI's API, the Open Inference Protocol and probes. Needs no socket: `app.request()` answers. */
export const createHttpApp = (parts: AppParts): Hono => {
  const { serving } = parts;
  const app = new Hono();
  app.use(endUnfinished, returnCallersId, limitedBodies(parts));

  // Defaults are OpenAI's own: a chat without a limit ends with the room for it.
  app.post(
    '/v1/completions',
    completions(parts, {
      shape: completionShape,
      read: readCompletion,
      ask: askCompletion,
      defaults: { maxTokens: 16, temperature: 1 },
    }),
  );
  app.post(
    '/v1/chat/completions',
    completions(parts, {
      shape: chatShape,
      read: readChat,
      ask: askChat,
      defaults: { maxTokens: Infinity, temperature: 1 },
    }),
  );
  app.post('/v1/responses', responses(parts));
  app.post('/v1/embeddings', embeddings(parts));
  app.post('/v1/classify', classify(parts));
  app.post('/v1/feedback', feedback(parts));
  app.post('/v1/load_lora_adapter', loadLora(parts));
  app.post('/v1/unload_lora_adapter', unloadLora(parts));
  app.get('/v1/models', async (c) => {
    const { headers, caller } = await askingOf(parts, c);
    return c.json({
      object: 'list',
      data: serving.models(askedNamespace(headers, caller)).map(modelObject),
    });
  });
  // Names have slashes (namespace/name) and colons (adapter:x).
  app.get('/v1/models/:id{.+}', async (c) => {
    const { headers, caller } = await askingOf(parts, c);
    const { namespace, model } = requestContext(headers, { model: c.req.param('id') }, caller);
    return c.json(modelObject(serving.model(namespace, model)));
  });

  app.route('/v2', createOipApp(parts));
  addHealth(app, parts);
  if (parts.hasMetrics) addMetrics(app, parts);

  app.notFound((c) => {
    const message = `There is nothing at ${c.req.method} ${c.req.path}.`;
    const error = { message, type: 'invalid_request_error', param: null, code: 'not_found' };
    return c.json({ error }, 404);
  });
  app.onError(failed(parts));
  return app;
};
