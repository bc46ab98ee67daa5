import type { Digest } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Entry } from './entry.ts';

/** Errors: ADAPTER_BASE_MISMATCH when the adapter is for a base model of another name, or for other builds of it. */
export const checkBase = (entry: Entry, baseModel: string, baseDigest: Digest | undefined): void => {
  const { body } = entry.resource;
  if (body.baseModel !== baseModel) {
    throw new AdaptletError(
      'ADAPTER_BASE_MISMATCH',
      `adapter ${entry.key} is for the base model ${body.baseModel}, this runtime has ${baseModel}`,
    );
  }
  if (
    baseDigest === undefined ||
    body.baseModelDigests.length === 0 ||
    body.baseModelDigests.includes(baseDigest)
  ) {
    return;
  }
  throw new AdaptletError(
    'ADAPTER_BASE_MISMATCH',
    `adapter ${entry.key} is for the builds ${body.baseModelDigests.join(', ')} of ${baseModel}, this runtime has ${baseDigest}`,
  );
};
