import { z } from 'zod';

/**
 * A field that is read. `inside`: the fields of its value, or of each item of it. `isKind`: the field is `type`,
 * which says what other fields there may be, so that it is looked at before them.
 */
export type Honoured<S extends z.ZodType = z.ZodType> = {
  readonly use: 'honoured';
  readonly schema: S;
  readonly inside?: Fields;
  readonly isKind?: true;
};

/** A field that is accepted whatever it holds, because it cannot change the answer. */
export type Harmless = { readonly use: 'harmless'; readonly why: string };

/** A field that would change the answer. Values that ask for what is done anyway are accepted. */
export type Refused = { readonly use: 'refused'; readonly why: string; readonly neutral: readonly unknown[] };

export type Field = Honoured | Harmless | Refused;

/** All fields that are known, by name. Everything else is refused as unknown. */
export type Fields = Readonly<Record<string, Field>>;

export const honoured = <S extends z.ZodType>(schema: S, inside?: Fields): Honoured<S> => ({
  use: 'honoured',
  schema,
  ...(inside === undefined ? {} : { inside }),
});
/** The field `type` of objects that have other fields in each type. */
export const kind = <S extends z.ZodType>(schema: S): Honoured<S> => ({
  use: 'honoured',
  schema,
  isKind: true,
});
export const harmless = (why: string): Harmless => ({ use: 'harmless', why });
export const refused = (why: string, ...neutral: readonly unknown[]): Refused => ({
  use: 'refused',
  why,
  neutral,
});

/** Names of the fields that are read, in the order of the table. */
export const honouredNames = (fields: Fields): readonly string[] =>
  Object.keys(fields).filter((name) => fields[name]?.use === 'honoured');

type Schemas<F extends Fields> = {
  [K in keyof F as F[K] extends Honoured ? K : never]: F[K] extends Honoured<infer S> ? S : never;
};

/** What is read of an object with these fields. */
export const objectOf = <F extends Fields>(fields: F): z.ZodObject<Schemas<F>> =>
  z.object(
    Object.fromEntries(
      Object.entries(fields).flatMap(([name, field]) =>
        field.use === 'honoured' ? [[name, field.schema]] : [],
      ),
    ),
  ) as unknown as z.ZodObject<Schemas<F>>;
