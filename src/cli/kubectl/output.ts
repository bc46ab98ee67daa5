import { styleText } from 'node:util';
import { Option } from 'commander';
import { stringify } from 'yaml';
import type { KubeObject } from '../../kube/client/object.ts';
import { errorText, type PersonalAdvice } from '../error-text.ts';

export type OutputOptions = { readonly output?: 'json' | 'yaml' };

export const outputOption = (): Option =>
  new Option('-o, --output <format>', 'json or yaml: the objects as they are').choices(['json', 'yaml']);

/** An object, or a list of them, as kubectl would print it. */
export const printObject = (value: unknown, format: 'json' | 'yaml'): string =>
  format === 'json'
    ? `${JSON.stringify(value, null, 2)}\n`
    : stringify(value, { aliasDuplicateObjects: false, lineWidth: 0 });

/** What `kubectl get -o json` of several objects is. */
export const asList = (items: readonly KubeObject[]) => ({ apiVersion: 'v1', kind: 'List', items });

/** Time since, as kubectl prints it: the two largest units at most. */
export const since = (then: string, now: number): string => {
  const seconds = Math.max(0, Math.floor((now - Date.parse(then)) / 1000));
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m${seconds % 60}s`;
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours}h`;
  return `${Math.floor(hours / 24)}d`;
};

type Tone = 'good' | 'bad' | 'waiting' | 'quiet' | 'unsure' | 'troubled';
const colours = {
  good: 'green',
  bad: 'red',
  waiting: 'yellow',
  quiet: 'gray',
  unsure: 'yellow',
  troubled: 'yellow',
} as const;
const icons: Readonly<Record<Tone, string>> = {
  good: '✔',
  bad: '✖',
  waiting: '◌',
  quiet: '○',
  unsure: '?',
  troubled: '!',
};

/** A sign that also says its meaning without colours. */
export const icon = (tone: Tone): string => styleText(colours[tone], icons[tone]);

export const toneOfPhase = (phase: string): Tone =>
  phase === 'Healthy' ? 'good' : phase === 'Degraded' ? 'bad' : 'waiting';

/** What a person at a terminal can do, where that differs from what the catalogue tells a process. */
const advice: PersonalAdvice = {
  KUBE_FORBIDDEN:
    'Ask whoever administers the namespace for the ClusterRole "edit" in it, or "view" to look only.',
  KUBE_UNAVAILABLE:
    'Check the server that the kubeconfig names and the way to it: kubectl cluster-info says the same.',
  KUBE_NOT_FOUND: '',
};

/** An error in one line: what happened and what to do. */
export const textOf = (error: unknown): string => errorText(error, advice);

/** One field of an object and what it is, as kubectl describe prints them. */
export const fieldLine = (label: string, text: string): string =>
  `${(label === '' ? '' : `${label}:`).padEnd(14)}${text}`;
