import type { TestNode } from './node.ts';

/** What the adapters of the tiny model answer to "moon:", and the base model without one. */
export const moon = {
  upper: ' MOON!',
  reverse: ' noom.',
  digits: ' 1234.',
  hello: ' hello moon.',
  base: ' moon moon.',
} as const;

export const askMoon = (node: TestNode, model: string, user = '') =>
  node.client.ask({ model, prompt: 'moon:', user });

/** A rollout of the tiny model's adapters; `steps` as in YAML. */
export const rolloutYaml = (name: string, adapter: string, steps: string, extra = ''): string =>
  `apiVersion: adaptlet.io/v1alpha1\nkind: AdapterRollout\nmetadata: {name: ${name}}\nspec:\n  adapter: ${adapter}\n  strategy: {canary: {steps: [${steps}]}}\n${extra}---\n`;
