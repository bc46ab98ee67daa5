import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { digestSchema } from '../../api/names.ts';
import type { KeptChoice } from '../routing/decision.ts';

/** Longest token that is looked at, in characters: the longest names make about 900. */
const maxToken = 2048;

const form = 'v1';

/** Who has the key of a route may have signed anything with it. */
const bodySchema = z
  .string()
  .transform((text, context): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      context.addIssue('no JSON');
      return z.NEVER;
    }
  })
  .pipe(
    z.strictObject({
      r: z.string(),
      t: z.string(),
      a: z.enum(['stable', 'canary', 'base']).optional(),
      d: digestSchema.optional(),
      at: z.int(),
    }),
  );

/** Malformed: nothing that this version makes. Foreign: not signed for this route and caller. */
export type Refusal = 'malformed' | 'foreign';

/** What a token says; `at`: when its answer was given, wall time in milliseconds. */
export type TokenContent = { readonly choice: KeptChoice; readonly at: number };

/**
 * A token: its form, what it says, and an HMAC-SHA256 of both and of whose it is.
 *
 * @param whose who may use it, as text; it is not in the token
 * @param key 32 bytes as base64url
 */
export const signToken = (
  { choice: { rule, target, version }, at }: TokenContent,
  whose: string,
  key: string,
): string => {
  const said = { r: rule, t: target, a: version?.arm, d: version?.digest, at };
  const body = Buffer.from(JSON.stringify(said)).toString('base64url');
  return `${form}.${body}.${macOf(body, whose, key).toString('base64url')}`;
};

/** What a token says. Nothing of it is looked at before its signature. Never throws. */
export const readToken = (token: string, whose: string, key: string): TokenContent | Refusal => {
  if (token.length > maxToken) return 'malformed';
  const [named, body, mac, ...more] = token.split('.');
  if (named !== form || body === undefined || mac === undefined || more.length > 0) return 'malformed';
  const given = Buffer.from(mac, 'base64url');
  const right = macOf(body, whose, key);
  if (given.length !== right.length || !timingSafeEqual(given, right)) return 'foreign';
  const read = bodySchema.safeParse(Buffer.from(body, 'base64url').toString('utf8'));
  if (!read.success) return 'malformed';
  const { r: rule, t: target, a: arm, d: digest, at } = read.data;
  const version = arm === undefined || digest === undefined ? undefined : { arm, digest };
  return { choice: { rule, target, ...(version === undefined ? {} : { version }) }, at };
};

/** JSON has no line breaks, so the parts cannot run into each other. */
const macOf = (body: string, whose: string, key: string): Buffer =>
  createHmac('sha256', Buffer.from(key, 'base64url')).update(`${form}\n${whose}\n${body}`).digest();
