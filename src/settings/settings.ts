import { z } from 'zod';
import { AdaptletError } from '../errors/adaptlet-error.ts';

const kebab = (name: string): string => name.replaceAll(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);

/** A setting `someName` is the flag `--some-name` … */
export const flagOf = (name: string): string => `--${kebab(name)}`;
/** Variables of OpenTelemetry and of other programs keep their names, so that what sets them there works here. */
const foreignVariables: Readonly<Record<string, string>> = {
  otlpEndpoint: 'OTEL_EXPORTER_OTLP_ENDPOINT',
  kubeconfig: 'KUBECONFIG',
  hfEndpoint: 'HF_ENDPOINT',
  hfTokenFile: 'HF_TOKEN_PATH',
};
/** … and the environment variable `ADAPTLET_SOME_NAME`. */
export const variableOf = (name: string): string =>
  foreignVariables[name] ?? `ADAPTLET_${kebab(name).replaceAll('-', '_').toUpperCase()}`;

/** Settings as they come in: by name, as text. */
export type Given = Readonly<Partial<Record<string, string>>>;

/**
 * Settings of a schema from flags over environment variables over defaults.
 * @throws CONFIG_INVALID that names the flag and the variable of each bad setting
 */
export const readSettings = <S extends z.ZodObject>(
  schema: S,
  flags: Given,
  environment: Readonly<Record<string, string | undefined>>,
): z.output<S> => {
  const given = Object.fromEntries(
    Object.keys(schema.shape).flatMap((name) => {
      const text = flags[name] ?? environment[variableOf(name)];
      return text === undefined || text === '' ? [] : [[name, text]];
    }),
  );
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => {
    const name = String(issue.path[0]);
    const missing = given[name] === undefined;
    return `${flagOf(name)} (${variableOf(name)}) ${missing ? 'is required' : `is "${given[name]}": ${issue.message}`}`;
  });
  throw new AdaptletError('CONFIG_INVALID', problems.join('; '), { cause: parsed.error });
};

export type SettingDescription = {
  readonly flag: string;
  readonly variable: string;
  /** As a user would write it; '' when there is none. */
  readonly fallback: string;
  readonly text: string;
};

/** The settings of a schema for people: `--help` and docs/reference/configuration.md. */
export const describeSettings = (schema: z.ZodObject): SettingDescription[] => {
  const { properties = {} } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return Object.keys(schema.shape).map((name) => {
    const property = properties[name];
    const { default: fallback = '', description = '' } = typeof property === 'object' ? property : {};
    const shown = JSON.stringify(fallback).replaceAll('"', '');
    return { flag: flagOf(name), variable: variableOf(name), fallback: shown, text: description };
  });
};
