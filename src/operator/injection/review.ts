import { z } from 'zod';
import { namespaceSchema } from '../../api/names.ts';
import { parsedBy } from '../../api/parsed.ts';
import type { Injection } from './patch.ts';
import { type Pod, podSchema } from './pod.ts';

const apiVersion = 'admission.k8s.io/v1';

const requestSchema = z.object({
  apiVersion: z.literal(apiVersion),
  kind: z.literal('AdmissionReview'),
  request: z.object({
    uid: z.string().min(1).max(128),
    // It becomes part of a path.
    namespace: namespaceSchema,
    operation: z.literal('CREATE'),
    dryRun: z.boolean().optional(),
    kind: z.object({ group: z.literal(''), version: z.literal('v1'), kind: z.literal('Pod') }),
    object: podSchema,
  }),
});

/** A pod that the API server asks about. */
export type Asked = {
  readonly uid: string;
  readonly namespace: string;
  readonly isDryRun: boolean;
  readonly pod: Pod;
};

/** What the API server asks; `problem`: why that is no question for this webhook. */
export const readReview = (text: string): Asked | { readonly problem: string } => {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { problem: 'the body is no JSON' };
  }
  const read = parsedBy(requestSchema, json, 'first');
  if (read.success) {
    const { uid, namespace, dryRun = false, object } = read.data.request;
    return { uid, namespace, isDryRun: dryRun, pod: object };
  }
  const why = read.error.issues.slice(0, 3).map(({ path, message }) => `${path.join('.')}: ${message}`);
  return {
    problem: `this answers AdmissionReviews (${apiVersion}) of pods that are created: ${why.join('; ')}`,
  };
};

/** The answer, as the API server reads it. */
export const answerOf = (uid: string, injection: Injection): object => {
  const response = { uid, allowed: injection.kind !== 'Refused', ...detailOf(injection) };
  return { apiVersion, kind: 'AdmissionReview', response };
};

const detailOf = (injection: Injection): object => {
  switch (injection.kind) {
    case 'Injected':
      return {
        patchType: 'JSONPatch',
        patch: Buffer.from(JSON.stringify(injection.operations)).toString('base64'),
      };
    case 'Unchanged':
      return injection.warning === undefined ? {} : { warnings: [injection.warning] };
    case 'Refused':
      return {
        status: {
          ...(injection.isForbidden ? { code: 403, reason: 'Forbidden' } : { code: 422, reason: 'Invalid' }),
          message: injection.message,
        },
      };
  }
};
