import { z } from 'zod';

/** A string of at most `max` characters; the checks after it do not run on a longer one. */
export const text = (max: number) => z.string().max(max, { abort: true });

/** A rule of Common Expression Language that the API server checks, and the message that the user gets. */
export type CelRule = { readonly rule: string; readonly message: string };

/** CEL rules as schema metadata; they reach the CRD as they are. */
export const cel = (...rules: readonly CelRule[]) => ({ 'x-kubernetes-validations': rules });

/** Like {@link text}, on one line: no control characters. Names of users, tenants and header values are such. */
export const line = (max: number) =>
  text(max)
    .min(1)
    .regex(/^\P{Cc}*$/u, { error: 'must not have control characters or line breaks' });
