import { z } from 'zod';
import { type Digest, shortDigest } from './names.ts';
import { text } from './text.ts';

/*
 * What `kubectl get` prints of a status and no path of a column can make of its fields: `2/6` of two numbers, 12 digits of a digest.
 * Programs read the fields themselves.
 */

const column = (what: string) => text(32).meta({ description: what });

const columns = <S extends z.ZodRawShape>(shape: S) =>
  z
    .strictObject(shape)
    .meta({ description: 'Texts for the columns of kubectl get; programs read the other fields.' });

export const rolloutColumnsSchema = columns({
  step: column('Present step of all, from 1. Example: 2/6').optional(),
  ready: column('Ready runtimes of the desired ones. Example: 9/10').optional(),
});

export const adapterColumnsSchema = columns({
  digest: column('First 12 digits of the digest.').optional(),
  resident: column('Runtimes that have it in RAM, of those that should hold it.'),
});

export const routeColumnsSchema = columns({
  programmed: column('Runtimes that route by this generation, of the connected ones.'),
});

/** `9/10`. */
export const share = (part: number, whole: number): string => `${part}/${whole}`;

/** `2/6`: steps count from 1 for people; after the last one it is the last one. */
export const stepOf = ({ index, total }: { readonly index: number; readonly total: number }): string =>
  share(Math.min(index + 1, total), total);

export const rolloutColumns = ({
  step,
  runtimes,
}: {
  readonly step?: { readonly index: number; readonly total: number } | undefined;
  readonly runtimes?: { readonly ready: number; readonly desired: number } | undefined;
}): z.infer<typeof rolloutColumnsSchema> => ({
  ...(step === undefined ? {} : { step: stepOf(step) }),
  ...(runtimes === undefined ? {} : { ready: share(runtimes.ready, runtimes.desired) }),
});

export const adapterColumns = ({
  digest,
  runtimes: { resident, desired },
}: {
  readonly digest?: Digest | undefined;
  readonly runtimes: { readonly resident: number; readonly desired: number };
}): z.infer<typeof adapterColumnsSchema> => ({
  ...(digest === undefined ? {} : { digest: shortDigest(digest) }),
  resident: share(resident, desired),
});
