import { z } from 'zod';
import { adapterSpecSchema } from '../api/adapter.ts';
import { maxStatusMessage } from '../api/condition.ts';
import { digestSchema } from '../api/names.ts';
import { parsedBy } from '../api/parsed.ts';
import { policySpecSchema } from '../api/policy.ts';
import { pathText } from '../api/problems.ts';
import { guardSchema, hashOnSchema } from '../api/rollout.ts';
import { boundAdapterSchema, rolloutStatusSchema } from '../api/rollout-status.ts';
import { routeSpecSchema } from '../api/route.ts';
import { secretKeysSchema } from '../api/secret-keys.ts';
import { signersSchema } from '../api/signatures.ts';
import { text } from '../api/text.ts';
import type {
  AdapterResource,
  KeysResource,
  PolicyResource,
  Resource,
  RouteResource,
  SplitResource,
} from '../plan/resources.ts';
import { sessionKeyPattern } from '../plan/session-key.ts';
import type { ResourceName } from './key.ts';

const identity = { uid: text(128), createdAt: text(40) };
const adapter = adapterSpecSchema.shape;

const adapterBody: z.ZodType<AdapterResource['body']> = z.strictObject({
  uid: identity.uid,
  baseModel: adapter.baseModel,
  baseModelDigests: z.array(digestSchema).max(16),
  source: adapter.source,
  digest: digestSchema.exactOptional(),
  signatures: signersSchema.exactOptional(),
  signed: z.literal(true).exactOptional(),
  priority: adapter.priority,
  pinned: adapter.pinned,
  tier: z.enum(['None', 'Disk', 'Memory']),
  held: z.boolean(),
  validation: adapter.validation,
});

const splitBody: z.ZodType<SplitResource['body']> = z.strictObject({
  ...identity,
  stable: boundAdapterSchema.exactOptional(),
  former: boundAdapterSchema.exactOptional(),
  canary: rolloutStatusSchema.shape.canary.unwrap().exactOptional(),
  weight: z.int().min(0).max(100),
  mirror: z.int().min(1).max(100).exactOptional(),
  hashOn: hashOnSchema,
  guard: guardSchema,
  fallbackToBase: z.literal(true).exactOptional(),
  // Of the status, with the compiler's words before it.
  message: text(2 * maxStatusMessage),
});

const routeBody: z.ZodType<RouteResource['body']> = z.strictObject({
  ...identity,
  model: routeSpecSchema.shape.model,
  rules: routeSpecSchema.shape.rules,
  classifiers: routeSpecSchema.shape.classifiers.unwrap().exactOptional(),
  sessionKey: text(43).regex(sessionKeyPattern).exactOptional(),
});

const policyBody: z.ZodType<PolicyResource['body']> = policySpecSchema.extend({
  uid: identity.uid,
  isDefault: z.boolean(),
});

const keysBody: z.ZodType<KeysResource['body']> = secretKeysSchema;

/** Checks a body of JSON values against its type. Unknown fields are refused: what they ask for would not happen. */
export const readBody = (
  { type, name }: ResourceName,
  json: unknown,
): { readonly resource: Resource } | { readonly reason: string } => {
  switch (type) {
    case 'AdapterSpec': {
      const read = parsedBy(adapterBody, json);
      return read.success ? { resource: { type, name, body: read.data } } : reasonOf(read.error);
    }
    case 'Split': {
      const read = parsedBy(splitBody, json);
      return read.success ? { resource: { type, name, body: read.data } } : reasonOf(read.error);
    }
    case 'Route': {
      const read = parsedBy(routeBody, json);
      return read.success ? { resource: { type, name, body: read.data } } : reasonOf(read.error);
    }
    case 'Policy': {
      const read = parsedBy(policyBody, json);
      return read.success ? { resource: { type, name, body: read.data } } : reasonOf(read.error);
    }
    case 'Keys': {
      const read = parsedBy(keysBody, json);
      return read.success ? { resource: { type, name, body: read.data } } : reasonOf(read.error);
    }
  }
};

/** The first few issues; more would say the same. */
const reasonOf = ({ issues }: z.ZodError): { readonly reason: string } => ({
  reason: issues
    .slice(0, 3)
    .map(({ path, message }) => {
      const at = pathText(path.map((part) => (typeof part === 'number' ? part : String(part))));
      return `${at === '' ? 'body' : at}: ${message}`;
    })
    .join('; '),
});
