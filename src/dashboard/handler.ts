import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { AdaptletError, asAdaptletError } from '../errors/adaptlet-error.ts';
import type { Log } from '../telemetry/log.ts';
import {
  type About,
  errorHeader,
  type RuntimeStateName,
  runtimeStates,
  type ViewKind,
  type ViewScope,
  type Views,
} from './views.ts';

/**
 * Which kinds may be shown to who asks, in a namespace or in all.
 * @throws VIEWER_UNKNOWN; VIEWER_FORBIDDEN where it would be none; KUBE_* when that cannot be found out
 */
export type Access = (request: IncomingMessage, scope: ViewScope) => Promise<ReadonlySet<ViewKind>>;

export type DashboardParts = {
  readonly views: Views;
  readonly access: Access;
  /** @throws NOT_LEADER where another replica has the views; the message names it */
  readonly assertHere: () => void;
  readonly logger: Log;
};

const files = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/style.css': ['style.css', 'text/css; charset=utf-8'],
  '/app.js': ['app.js', 'text/javascript; charset=utf-8'],
  '/ask.js': ['ask.js', 'text/javascript; charset=utf-8'],
  '/draw.js': ['draw.js', 'text/javascript; charset=utf-8'],
  '/chart.js': ['chart.js', 'text/javascript; charset=utf-8'],
  '/fleet.js': ['fleet.js', 'text/javascript; charset=utf-8'],
  '/lists.js': ['lists.js', 'text/javascript; charset=utf-8'],
  '/details.js': ['details.js', 'text/javascript; charset=utf-8'],
} as const;

/** Nothing but the page's own files and answers; no text of others becomes markup. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ');

const headers = {
  'content-security-policy': policy,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};

/** Longest list of an answer. */
const maxItems = 500;
const itemsAtFirst = 100;
/** Names of namespaces and objects, and what is searched for. */
const maxText = 512;

type Asked = {
  readonly scope: ViewScope;
  readonly kinds: ReadonlySet<ViewKind>;
  readonly query: URLSearchParams;
};
type Answer = { readonly kind: ViewKind | 'any'; readonly give: (views: Views, asked: Asked) => unknown };

const limitOf = (query: URLSearchParams): number => {
  const limit = Number(query.get('limit') ?? itemsAtFirst);
  return Number.isInteger(limit) && limit > 0 ? Math.min(limit, maxItems) : itemsAtFirst;
};

const stateOf = (query: URLSearchParams): { readonly state?: RuntimeStateName } => {
  const state = runtimeStates.find((name) => name === query.get('state'));
  return state === undefined ? {} : { state };
};

const textOf = (query: URLSearchParams, name: string): string => (query.get(name) ?? '').slice(0, maxText);

/** The object that is asked for. @throws VIEWER_FORBIDDEN outside of the namespace; VIEW_NOT_FOUND */
const known = <T>({ scope, query }: Asked, find: (key: string) => T | undefined): T => {
  const key = textOf(query, 'name');
  if (scope !== undefined && !key.startsWith(`${scope}/`))
    throw new AdaptletError('VIEWER_FORBIDDEN', `${JSON.stringify(key)} is not in the namespace ${scope}`);
  const found = find(key);
  if (found === undefined)
    throw new AdaptletError('VIEW_NOT_FOUND', `nothing is known of ${JSON.stringify(key)}`);
  return found;
};

const answers: Readonly<Record<string, Answer>> = {
  '/api/about': {
    kind: 'any',
    give: (views, { scope, kinds }): About => ({
      ...views.about(),
      ...(scope === undefined ? {} : { namespace: scope }),
      kinds: [...kinds],
    }),
  },
  '/api/waiting': {
    kind: 'any',
    give: (views, { scope, kinds, query }) => views.waiting(scope, kinds, limitOf(query)),
  },
  '/api/fleet': {
    kind: 'adapterruntimes',
    give: (views, { scope, query }) => views.fleet(scope, textOf(query, 'by') || 'baseModel'),
  },
  '/api/runtimes': {
    kind: 'adapterruntimes',
    give: (views, { scope, query }) =>
      views.runtimes(scope, {
        ...stateOf(query),
        ...(query.has('group') ? { group: textOf(query, 'group') } : {}),
        by: textOf(query, 'by') || 'baseModel',
        text: textOf(query, 'text'),
        limit: limitOf(query),
      }),
  },
  '/api/timeline': {
    kind: 'adapterruntimes',
    give: (views, asked) => known(asked, (key) => views.timeline(key)),
  },
  '/api/rollouts': {
    kind: 'adapterrollouts',
    give: (views, { scope, query }) => views.rollouts(scope, limitOf(query)),
  },
  '/api/history': {
    kind: 'adapterrollouts',
    give: (views, asked) => known(asked, (key) => views.history(key)),
  },
  '/api/adapters': {
    kind: 'adapters',
    give: (views, { scope, query }) => views.adapters(scope, limitOf(query)),
  },
};

/** A name of a namespace, as Kubernetes has them. */
const namespacePattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** Answers GET of the page and of what it shows. It never throws. */
export const dashboardHandler = (
  parts: DashboardParts,
): ((request: IncomingMessage, response: ServerResponse) => Promise<void>) => {
  const folder = new URL('./page/', import.meta.url);
  const page = new Map(
    Object.entries(files).map(([path, [file, type]]) => [
      path,
      { type, body: readFileSync(new URL(file, folder)) },
    ]),
  );
  return async (request, response) => {
    try {
      if (request.method !== 'GET')
        throw new AdaptletError('VIEW_NOT_FOUND', `there is no ${request.method} here: the page only reads`);
      // A path that begins with // is no other host.
      const url = URL.parse(`http://page${request.url ?? '/'}`);
      if (url === null) throw new AdaptletError('VIEW_NOT_FOUND', 'that is no path');
      const { pathname, searchParams } = url;
      const file = page.get(pathname);
      if (file === undefined)
        give(request, response, 'application/json', await asked(parts, request, pathname, searchParams));
      else give(request, response, file.type, file.body);
    } catch (error) {
      const failure = asAdaptletError(error, 'showing the dashboard');
      if (failure.code === 'INTERNAL') parts.logger.error({ err: failure }, 'the dashboard could not answer');
      const { code, what, advice } = failure;
      const body = JSON.stringify({ code, message: what, advice });
      response
        .writeHead(failure.httpStatus, {
          ...headers,
          'content-type': 'application/json',
          'cache-control': 'no-store',
          [errorHeader]: code,
        })
        .end(body);
    }
  };
};

const asked = async (
  { views, access, assertHere }: DashboardParts,
  request: IncomingMessage,
  path: string,
  query: URLSearchParams,
): Promise<string> => {
  const answer = Object.hasOwn(answers, path) ? answers[path] : undefined;
  if (answer === undefined) throw new AdaptletError('VIEW_NOT_FOUND', 'there is no such page');
  const scope = query.get('namespace') || undefined;
  if (scope !== undefined && !namespacePattern.test(scope))
    throw new AdaptletError(
      'VIEW_NOT_FOUND',
      `${JSON.stringify(scope.slice(0, 63))} is no name of a namespace`,
    );
  const kinds = await access(request, scope);
  if (answer.kind !== 'any' && !kinds.has(answer.kind))
    throw new AdaptletError('VIEWER_FORBIDDEN', `you may not list ${answer.kind} ${where(scope)}`);
  assertHere();
  return JSON.stringify(answer.give(views, { scope, kinds, query }));
};

export const where = (scope: ViewScope): string =>
  scope === undefined ? 'in all namespaces' : `in the namespace ${scope}`;

/** What is as the browser has it already is not sent again. */
const give = (
  request: IncomingMessage,
  response: ServerResponse,
  type: string,
  body: string | Buffer,
): void => {
  const tag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  // Kept by the browser's script alone: what one person may see is nothing for a cache on the way.
  const all = { ...headers, 'content-type': type, 'cache-control': 'no-store', etag: tag };
  if (request.headers['if-none-match'] === tag) response.writeHead(304, all).end();
  else response.writeHead(200, all).end(body);
};
