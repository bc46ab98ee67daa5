import { z } from 'zod';
import type { Right } from '../../api/policy.ts';
import type { ExplainRequest } from '../../gen/adaptlet/inference/v1/admin.ts';
import { identityHeaders } from '../../runtime/routing/identity.ts';
import type { RequestContext } from '../../runtime/routing/request.ts';
import { hiddenFrom } from '../../runtime/server/context.ts';
import { explainedContext } from '../../runtime/server/grpc/admin/explain.ts';
import { readJsonLines } from '../json-lines.ts';

/** A request as people write it. */
export type Asked = {
  readonly model: string;
  readonly namespace?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Absent: token ids, which have no text. */
  readonly prompt?: string | undefined;
  readonly user?: string | undefined;
  readonly session?: string | undefined;
};

export const askedShape = {
  model: z.string().min(1).max(512),
  namespace: z.string().min(1).max(253).optional(),
  headers: z.record(z.string(), z.string()).optional(),
  prompt: z.string().optional(),
  user: z.string().optional(),
  session: z.string().optional(),
};

/** Who a credential is for. */
export type Own = { readonly user?: string | undefined; readonly tenant?: string | undefined };

/**
 * What routes see of a request of a caller with these rights: without Users no user, session or tenant but its own, without Hints no
 * hint.
 */
export const withRights = (
  { headers = {}, user, session, ...asked }: Asked,
  rights: ReadonlySet<Right>,
  own: Own,
): Asked => {
  const hidden = hiddenFrom(rights);
  const said = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  for (const name of hidden) said.delete(name);
  if (own.tenant !== undefined && !said.has(identityHeaders.tenant))
    said.set(identityHeaders.tenant, own.tenant);
  const mayName = rights.has('Users');
  return {
    ...asked,
    headers: Object.fromEntries(said),
    user: (mayName ? user : undefined) ?? own.user,
    session: mayName ? session : undefined,
  };
};

/** The request of a caller with all rights. @throws REQUEST_INVALID */
export const contextOf = (asked: Asked, defaultNamespace: string): RequestContext =>
  explainedContext(requestOf(asked), defaultNamespace);

/** The same for a node. */
export const requestOf = ({
  model,
  namespace = '',
  headers = {},
  prompt,
  user = '',
  session = '',
}: Asked): ExplainRequest => ({ model, namespace, headers: { ...headers }, prompt, user, session });

const messageText = z
  .union([z.string(), z.array(z.looseObject({ text: z.string().optional() }))])
  .transform((content) =>
    typeof content === 'string' ? content : content.map(({ text }) => text ?? '').join(''),
  );

const messageSchema = z.looseObject({ role: z.string(), content: messageText.nullish() });
const itemSchema = messageSchema.extend({ role: z.string().nullish() });

/** Of a conversation. Items that are no messages have no role. */
const lastOfUser = (turns: readonly z.infer<typeof itemSchema>[]): string | undefined =>
  turns.findLast(({ role }) => role === 'user')?.content ?? undefined;

/** Several prompts, and token ids, have no text. */
const onlyText = (given: unknown): string | undefined => {
  const [only, ...more]: readonly unknown[] = Array.isArray(given) ? given : [given];
  return typeof only === 'string' && more.length === 0 ? only : undefined;
};

/** That of a response or of an encoder. */
const inputSchema = z.union(
  [
    z.string(),
    z.array(itemSchema).transform(lastOfUser),
    z.array(z.union([z.string(), z.number(), z.array(z.number())])).transform(onlyText),
  ],
  { error: 'must be a text, a list of texts, token ids, or the items of a conversation' },
);

/** Of the body of an OpenAI request what routing looks at. */
const bodySchema = z.looseObject({
  model: z.string().optional(),
  user: z.string().nullish(),
  prompt: z.unknown().optional(),
  messages: z.array(messageSchema).optional(),
  input: inputSchema.optional(),
});

const requestSchema = z.strictObject({
  namespace: askedShape.namespace,
  headers: askedShape.headers,
  session: askedShape.session,
  body: bodySchema,
});

/** What a node takes for the text of the prompt, as a whole. */
const promptOf = ({ prompt, messages, input }: z.infer<typeof bodySchema>): string | undefined =>
  messages === undefined ? (input ?? onlyText(prompt)) : lastOfUser(messages);

/**
 * Requests of a file, a JSON object a line: `{"headers": {…}, "body": {…}}` with the body of an OpenAI request to any
 * of its calls.
 * @param model of bodies that name none
 * @throws AdaptletError CONFIG_INVALID with the line
 */
export const readRequests = (file: string, model: string | undefined): Promise<readonly Asked[]> => {
  const schema = requestSchema.transform(({ body, ...more }, ctx): Asked => {
    const name = body.model ?? model;
    if (name !== undefined)
      return { ...more, model: name, user: body.user ?? undefined, prompt: promptOf(body) };
    ctx.addIssue({ code: 'custom', message: 'body.model is missing' });
    return z.NEVER;
  });
  return readJsonLines(file, schema, '{"headers": {}, "body": {"model": "…", "prompt": "…"}}');
};
