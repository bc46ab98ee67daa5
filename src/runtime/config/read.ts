import { basename, resolve } from 'node:path';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { type SettingName, type Settings, settingsSchema } from './settings.ts';

const kebab = (name: string): string => name.replaceAll(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);

export const flagOf = (name: string): string => `--${kebab(name)}`;
/** OpenTelemetry's own variables keep their names, so that what sets them for other programs works here. */
const foreignVariables: Readonly<Record<string, string>> = { otlpEndpoint: 'OTEL_EXPORTER_OTLP_ENDPOINT' };

export const variableOf = (name: string): string =>
  foreignVariables[name] ?? `ADAPTLET_${kebab(name).replaceAll('-', '_').toUpperCase()}`;
export const settingNames = Object.keys(settingsSchema.shape) as SettingName[];

/**
 * Settings from flags over environment variables over defaults; folders made absolute.
 * Errors: CONFIG_INVALID names the flag and the variable of each bad setting.
 */
export const readSettings = (
  flags: Readonly<Partial<Record<string, string>>>,
  environment: Readonly<Record<string, string | undefined>>,
  cwd: string,
): Settings => {
  const given = Object.fromEntries(
    settingNames.flatMap((name) => {
      const text = flags[name] ?? environment[variableOf(name)];
      return text === undefined || text === '' ? [] : [[name, text]];
    }),
  );
  const parsed = settingsSchema.safeParse(given);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => {
      const name = String(issue.path[0]);
      const missing = given[name] === undefined;
      return `${flagOf(name)} (${variableOf(name)}) ${missing ? 'is required' : `is "${given[name]}": ${issue.message}`}`;
    });
    throw new AdaptletError('CONFIG_INVALID', problems.join('; '), { cause: parsed.error });
  }
  const s = parsed.data;
  const absolute = (path: string): string => resolve(cwd, path);
  const model = absolute(s.model);
  const roots = s.importRoots.length > 0 ? s.importRoots : s.manifests === undefined ? [] : [s.manifests];
  return {
    ...s,
    model,
    modelName: s.modelName ?? basename(model),
    dataDir: absolute(s.dataDir),
    ...(s.manifests === undefined ? {} : { manifests: absolute(s.manifests) }),
    importRoots: roots.map(absolute),
    ...(s.registryConfig === undefined ? {} : { registryConfig: absolute(s.registryConfig) }),
  };
};
