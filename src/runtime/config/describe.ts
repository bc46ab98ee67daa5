import { z } from 'zod';
import { flagOf, settingNames, variableOf } from './read.ts';
import { settingsSchema } from './settings.ts';

export type SettingDescription = {
  readonly flag: string;
  readonly variable: string;
  /** As a user would write it; '' when there is none. */
  readonly fallback: string;
  readonly text: string;
};

/** The settings for people: `--help` and docs/reference/configuration.md. */
export const describeSettings = (): SettingDescription[] => {
  const { properties = {} } = z.toJSONSchema(settingsSchema, { io: 'input', unrepresentable: 'any' });
  return settingNames.map((name) => {
    const property = properties[name];
    const { default: fallback = '', description = '' } = typeof property === 'object' ? property : {};
    const shown = JSON.stringify(fallback).replaceAll('"', '');
    return { flag: flagOf(name), variable: variableOf(name), fallback: shown, text: description };
  });
};
