import { createHash } from 'node:crypto';
import { objectKey } from '../../api/names.ts';
import { fillUser, type Source, sourceSchema } from '../../api/source.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { AdapterResource, Versioned } from '../../plan/resources.ts';
import type { Candidate } from '../routing/decision.ts';

/** The filled template, checked as a manifest's source is: not every user id is a good part of an image reference. */
const sourceFor = (source: Source, user: string): Source => {
  const filled = sourceSchema.safeParse({
    ...(source.oci === undefined ? {} : { oci: { ...source.oci, image: fillUser(source.oci.image, user) } }),
    ...(source.path === undefined ? {} : { path: { path: fillUser(source.path.path, user) } }),
  });
  if (filled.success) return filled.data;
  throw new AdaptletError(
    'REQUEST_INVALID',
    `user id ${user} does not make a valid source: ${filled.error.issues[0]?.message}`,
  );
};

/**
 * The adapter of one user, made from the template of a `perUser` rule. Routing has checked the user id: lower-case
 * letters, digits, `.`, `_`, `-`, so that it is safe inside a path or an image reference.
 */
export const perUserResource = (
  candidate: Extract<Candidate, { kind: 'perUser' }>,
): Versioned<AdapterResource> => {
  const { namespace, route, rule, user, template } = candidate;
  const source = sourceFor(template.source, user);
  const uid = createHash('sha256')
    .update(JSON.stringify([namespace, route, rule, user, source]))
    .digest('hex')
    .slice(0, 32);
  return {
    type: 'AdapterSpec',
    // No object has a `/` in its name: this one is nobody's else.
    name: objectKey(namespace, `${route}/${rule}/${user}`),
    version: uid,
    body: {
      uid,
      baseModel: template.baseModel,
      baseModelDigests: [],
      source,
      priority: 0,
      pinned: false,
      tier: 'None',
      held: false,
      validation: { smokeTests: [], allowNoEffect: false },
    },
  };
};
