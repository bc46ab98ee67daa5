import { type Context, Hono } from 'hono';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { infer, type OipParts, openInference } from '../oip/oip.ts';
import { refuse } from '../refuse.ts';
import { answerHeaders } from './answer-headers.ts';
import { bodyOf } from './body.ts';
import { headerOf } from './connection.ts';
import { askingOf, failed, handler } from './handler.ts';
import { bodyShape, readJsonText } from './json.ts';
import { headLength, inferBody, readInfer } from './oip-body.ts';
import { oipProblemResponse } from './problem.ts';

/** White space of JSON. */
const blanks = new Set([0x20, 0x09, 0x0a, 0x0d]);

/**
 * The body, apart: its JSON, and the bytes behind it. tritonclient names no content-type at all. A web page of another
 * site could send such a request without asking first (a CORS simple request), but not without an Origin.
 * @throws REQUEST_INVALID, and as of {@link bodyOf}
 */
const readParts = async (c: Context): Promise<{ readonly json: unknown; readonly tail: Buffer }> => {
  const type = headerOf(c, 'content-type');
  const known =
    type === undefined
      ? headerOf(c, 'origin') === undefined
      : /^application\/(json|octet-stream)\b/i.test(type);
  if (!known) refuse('content-type must be application/json or application/octet-stream');
  const asked = c.req.header(headLength);
  const look = bodyShape(`Send tensors as bytes behind the JSON (${headLength}).`);
  let ahead = Math.max(0, Number(asked ?? Infinity));
  const body = await bodyOf(c, (part) => {
    look(part.subarray(0, ahead));
    ahead = Math.max(0, ahead - part.length);
  });
  const length = asked === undefined ? body.length : Number(asked);
  if (!Number.isSafeInteger(length) || length < 0 || length > body.length)
    refuse(`${headLength} is ${asked ?? ''}, the body has ${body.length} bytes`);
  const head = body.subarray(0, length);
  // Parameters may be left out.
  const isEmpty = head.every((byte) => blanks.has(byte));
  return { json: isEmpty ? {} : readJsonText(head), tail: body.subarray(length) };
};

type Target = { readonly modelName: string; readonly modelVersion: string; readonly verb: string };

const decoded = (part: string): string => {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    throw new AdaptletError('REQUEST_INVALID', 'the path is not percent-encoded UTF-8', { cause: error });
  }
};

const paths = /^\/v2\/models\/(?<model>.+?)(?:\/versions\/(?<version>[^/]+))?(?:\/(?<verb>ready|infer))?$/;

/** What a path is about. Names have slashes (namespace/name): they may come as they are, or percent-encoded. */
const targetOf = (c: Context): Target => {
  const { model = '', version = '', verb = '' } = paths.exec(new URL(c.req.url).pathname)?.groups ?? {};
  return { modelName: decoded(model), modelVersion: decoded(version), verb };
};

/** A path that leads nowhere is no model that is missing. */
const notFound = (c: Context): Response =>
  c.json({ error: `There is nothing at ${c.req.method} ${c.req.path}.`, code: 'not_found' }, 404);

const objectOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? { ...value }
    : refuse('the body is not a JSON object');

/** Parameters of a repository call; only whether one is there matters, and which. */
const repositoryRequest = async (c: Context, modelName: string) => {
  const { parameters = {}, ...more } = objectOf((await readParts(c)).json);
  const [unknown] = Object.keys(more);
  if (unknown !== undefined) refuse(`${unknown} is not known; known is parameters`);
  const given = Object.entries(objectOf(parameters)).map(([name, value]) => [
    name,
    typeof value === 'boolean'
      ? { parameterChoice: { $case: 'boolParam' as const, value } }
      : { parameterChoice: { $case: 'stringParam' as const, value: String(value) } },
  ]);
  return { repositoryName: '', modelName, parameters: Object.fromEntries(given) };
};

/** Open Inference Protocol v2 over REST, with Triton's binary tensors and model repository. */
export const createOipApp = (parts: OipParts): Hono => {
  const oip = openInference(parts);
  const app = new Hono();

  app.get('/', (c) => c.json(oip.server(['binary_tensor_data'])));
  app.get('/health/live', (c) => c.json({ live: true }));
  // The protocol wants a status of 4xx for no.
  app.get('/health/ready', (c) => {
    const { ok } = parts.serving.ready();
    return c.json({ ready: ok }, ok ? 200 : 400);
  });

  app.get('/models/*', async (c) => {
    const { modelName, modelVersion, verb } = targetOf(c);
    const who = await askingOf(parts, c);
    if (verb === 'infer') return notFound(c);
    if (verb === 'ready') {
      const ready = oip.isReady(modelName, modelVersion, who);
      return c.json({ name: modelName, ready }, ready ? 200 : 400);
    }
    const { inputs, outputs, ...card } = oip.metadata(modelName, modelVersion, who);
    const plain = (specs: typeof inputs) => specs.map((spec) => ({ ...spec, shape: spec.shape.map(Number) }));
    return c.json({ ...card, inputs: plain(inputs), outputs: plain(outputs) });
  });

  const inferCall = handler(
    parts,
    'v2/infer',
    async (c, exchange, who) => {
      const { json, tail } = await readParts(c);
      const rest = readInfer(targetOf(c), json, tail);
      const answer = await infer({ request: rest.request, asking: who, exchange, parts });
      const body = inferBody(rest, answer);
      exchange.end();
      const headers = new Headers([...answerHeaders(exchange, answer.id, answer.served)]);
      const binary = body.tail.length > 0;
      headers.set('content-type', binary ? 'application/octet-stream' : 'application/json');
      if (binary) headers.set(headLength, String(body.json.length));
      return new Response(Buffer.concat([body.json, ...body.tail]), { headers });
    },
    oipProblemResponse,
  );
  app.post('/models/*', (c) => (targetOf(c).verb === 'infer' ? inferCall(c) : notFound(c)));

  app.post('/repository/index', async (c) => {
    const who = await askingOf(parts, c);
    const { ready = false } = objectOf((await readParts(c)).json);
    return c.json(oip.index('', ready === true, who).models);
  });
  app.post('/repository/models/:rest{.+}', async (c) => {
    const who = await askingOf(parts, c);
    const match = /^(?<name>.+)\/(?<verb>load|unload)$/.exec(c.req.param('rest'));
    const { name = '', verb } = match?.groups ?? {};
    if (verb === undefined) return notFound(c);
    const request = await repositoryRequest(c, decoded(name));
    const { signal } = c.req.raw;
    await (verb === 'load' ? oip.load(request, who, signal) : oip.unload(request, who, signal));
    return c.body(null, 200);
  });

  app.all('/*', notFound);
  app.onError(failed(parts, oipProblemResponse));
  return app;
};
