import type { z } from 'zod';

/** Keyword in a schema's metadata: the fields of a loose object that the CRD has all the same. */
export const knownFields = 'x-adaptlet-known-fields';

/**
 * The same schema, of which the CRD has only the fields `known`; the API server keeps the others as they are. Our parser
 * checks all of them. For what would stand in a CRD several times, or is written by Adaptlet alone.
 */
export const loosely = <S extends z.ZodType>(schema: S, known: readonly string[] = []): S =>
  schema.meta({ ...schema.meta(), 'x-kubernetes-preserve-unknown-fields': true, [knownFields]: known });
